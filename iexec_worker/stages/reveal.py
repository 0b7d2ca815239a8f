"""PLEASE_REVEAL: show the digest behind our contribution before the deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import frozen

from iexec_worker.chain import commitments
from iexec_worker.chain.calls import Kind
from iexec_worker.errors import Reverted, StageFailed
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.chain.hub import Hub
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.stages.conditions import Conditions, Standing
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Reveal:
    """Waits until revealing is possible and does it once; *now* is the wall clock."""

    conditions: Conditions
    hub: Hub
    sending: Sending
    blocks: BlockWatch
    wallet: str
    now: Callable[[], float]

    async def __call__(self, task: Task) -> Details:
        if task.record.consensus_block <= 0:
            raise StageFailed(Cause.CONSENSUS_BLOCK_MISSING, "the pool named no consensus block")
        computed = task.record.computed
        if computed is None or not computed.result_digest:
            raise StageFailed(Cause.DETERMINISM_HASH_NOT_FOUND, "the result's digest is lost")
        await self._reach(task)
        while True:
            standing = await self._possible(task, computed.result_digest)
            if standing.contribution.status is ContributionStatus.PROVED:
                return Details(chain_receipt=await self.sending.receipt(task, Kind.REVEAL))
            task.node.doing = "revealing"
            call = self.hub.reveal(task.id, computed.result_digest)
            try:
                return Details(chain_receipt=await self.sending.send(task, call))
            except Reverted as error:
                # With the deadline ahead a refusal may pass: a reorg, a node behind another.
                log.warning("reveal refused, trying again", task=task.id, reason=str(error))
                await self.blocks.pause()

    async def _reach(self, task: Task) -> None:
        """Wait for the consensus block as long as there is time."""
        task.node.doing = f"waiting for block {task.record.consensus_block}"
        onchain = (await self.conditions.standing(task)).task
        # A node so far behind may not show the deadline of the reveal yet.
        deadline = onchain.reveal_deadline or task.description.final_deadline
        left = deadline - self.now()
        with trio.move_on_after(max(left, 0)):
            await self.blocks.reached(task.record.consensus_block)
            return
        raise StageFailed(
            Cause.BLOCK_NOT_REACHED, f"block {task.record.consensus_block} did not come in time"
        )

    async def _possible(self, task: Task, digest: str) -> Standing:
        """Wait until the chain allows the reveal (or shows it); fail once it never will."""
        while True:
            standing = await self.conditions.standing(task)
            never, not_yet = self._obstacle(task, standing, digest)
            if never:
                raise StageFailed(Cause.CANNOT_REVEAL, never)
            if not not_yet:
                return standing
            task.node.doing = f"waiting to reveal: {not_yet}"
            await self.blocks.pause()

    def _obstacle(  # noqa: PLR0911 - a list of questions, each with its answer
        self, task: Task, standing: Standing, digest: str
    ) -> tuple[str, str]:
        """What stands against the reveal: (for ever, for now), each empty when nothing does."""
        onchain, ours = standing.task, standing.contribution
        if ours.status is ContributionStatus.PROVED:
            return "", ""
        if ours.status is ContributionStatus.UNSET:
            return "no contribution of ours on-chain", ""
        if ours.status is ContributionStatus.REJECTED:
            return "our contribution was rejected", ""
        if onchain.status is TaskStatus.ACTIVE:
            late = self.now() >= onchain.final_deadline
            return ("the final deadline passed" if late else "", "no consensus on-chain yet")
        if onchain.status is not TaskStatus.REVEALING:
            return f"the task is {onchain.status.name}", ""
        if self.now() >= onchain.reveal_deadline:
            return "the reveal deadline has passed", ""
        expected = commitments.result_hash(task.id, digest)
        if ours.result_hash != expected or onchain.consensus_value != expected:
            return "our result is not the consensus", ""
        if ours.result_seal != commitments.result_seal(self.wallet, task.id, digest):
            return "the seal on-chain is not ours", ""
        return "", ""
