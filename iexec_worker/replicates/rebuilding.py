"""
What a lost journal held, found out from the chain, the pool and the task's folder.

The chain comes first: a contribution of ours is what can be lost, and it says which result it is
of. That result is still in the folder, or is computed again. Where nothing of ours is on-chain
nothing is lost but time, and the pool decides whether the task is begun anew or dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.chain import commitments
from iexec_worker.errors import StageFailed
from iexec_worker.model import ContributionStatus
from iexec_worker.replicates.asking import PATIENCE, patiently
from iexec_worker.replicates.standings import may_still_reveal, over
from iexec_worker.replicates.table import COMPUTING, ROWS, caught_up
from iexec_worker.supervise import Backoff
from iexec_worker.wire import Action, Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.replicates.credibility import Credibility
    from iexec_worker.replicates.steps import Steps
    from iexec_worker.stages.conditions import Standing
    from iexec_worker.stages.post_compute import PostCompute
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Between two computations that came to nothing because something was away.
AGAIN: Final = Backoff(first=2.0, limit=60.0)

#: What makes a result, after PLEASE_START, which only asks whether there may be one.
_MAKING: Final = COMPUTING[1:]


@frozen
class Rebuilding:
    """
    Finds out what *task* needs next.

    *heard* waits for what the pool itself, or a message that is believed, asks for; *take_slot*
    waits for the right to compute.
    """

    task: Task
    credibility: Credibility
    steps: Steps
    post_compute: PostCompute
    heard: Callable[[], Awaitable[Action]]
    take_slot: Callable[[], Awaitable[None]]

    async def __call__(self) -> Action | None:
        """Return what is next; None: wait for the pool. The record holds the rest."""
        standing = await self._standing()
        while standing.contribution.status is ContributionStatus.UNSET:
            asked = await self._asked(standing)
            if asked is not None:
                return asked
            standing = await self._standing()
        revealed = standing.contribution.status is ContributionStatus.PROVED
        self.task.record.told = [Status.CONTRIBUTED, Status.REVEALED] if revealed else []
        if self._is_over(standing):
            self.task.record.told = self.task.record.told or [Status.CONTRIBUTED]
            return None
        if not await self._has_result(standing):
            self._say_what_is_at_stake(standing)
            await self._recompute()
        return self._next(revealed=revealed)

    async def _asked(self, standing: Standing) -> Action | None:
        """Wait for the pool's wish about a task without a contribution; None: look again."""
        if over(standing, self._now()):
            return Action.PLEASE_ABORT
        self.task.node.doing = (
            "its journal is lost and nothing of ours is on-chain: waiting for the pool's wish"
        )
        with trio.move_on_after(PATIENCE):
            action = caught_up(await self.heard(), self.task)
            if action in (Action.PLEASE_START, Action.PLEASE_ABORT):
                return action
        return None

    def _is_over(self, standing: Standing) -> bool:
        """True when nothing can come of our contribution any more, or all has."""
        revealed = standing.contribution.status is ContributionStatus.PROVED
        stands = revealed or may_still_reveal(standing, self._now())
        return not stands or over(standing, self._now())

    async def _has_result(self, standing: Standing) -> bool:
        """Make the record of the result from what the app left; False unless it is ours."""
        self.task.node.doing = "its journal is lost: looking for the result of our contribution"
        if not self.task.folder.iexec_out.is_dir():
            return False
        try:
            await self.post_compute(self.task)
        except StageFailed as error:
            log.warning("no result is left", task=self.task.id, reason=str(error))
            return False
        return self._is_ours(standing)

    def _is_ours(self, standing: Standing) -> bool:
        """True iff the record's result is what we contributed; it forgets any other."""
        computed, ours = self.task.record.computed, standing.contribution
        digest = computed.result_digest if computed else ""
        if digest:
            wallet = self.credibility.conditions.wallet
            found = (
                commitments.result_hash(self.task.id, digest),
                commitments.result_seal(wallet, self.task.id, digest),
            )
            if found == (ours.result_hash, ours.result_seal):
                return True
        self.task.record.computed = None
        return False

    def _say_what_is_at_stake(self, standing: Standing) -> None:
        deadline = standing.task.reveal_deadline or standing.task.final_deadline
        log.error(
            "the result of our contribution is gone: computing it again",
            task=self.task.id,
            stake=self.task.description.worker_stake,
            lost_in=f"{deadline - self._now():.0f} s",
        )

    async def _recompute(self) -> None:
        """Make the result once more; the record has none if that cannot be done."""
        record = self.task.record
        record.recomputing = True
        await self.task.save()
        await self.take_slot()
        tries = 0
        while True:
            failed = await self._compute()
            standing = await self._standing()
            if self._is_ours(standing):
                log.info("the result of our contribution is there again", task=self.task.id)
                break
            if self._is_over(standing) or not failed:
                log.error(
                    "what we contributed cannot be revealed: the app gave another result now",
                    task=self.task.id,
                    reason=failed or "it is not deterministic",
                    stake=self.task.description.worker_stake,
                )
                break
            tries += 1
            self.task.node.doing = f"computing again soon: {failed}"
            await trio.sleep(AGAIN.delay(tries))
        record.recomputing = False

    async def _compute(self) -> str:
        """Run the steps that make a result, aloud to nobody; returns what failed."""
        for action in _MAKING:
            result = await self.steps.outcome(self.task, action)
            if result.status is not ROWS[action].done:
                return f"{result.status} ({result.cause})"
        return ""

    def _next(self, *, revealed: bool) -> Action | None:
        """Repeat to the pool the last news of the chain, which it may not have heard."""
        record = self.task.record
        if record.computed is None:
            record.told = record.told or [Status.CONTRIBUTED]
            return None
        if not record.consensus_block:
            latest = self.credibility.blocks.latest
            record.consensus_block = latest.number if latest else 1
        record.told = [Status.CONTRIBUTED] if revealed else []
        return Action.PLEASE_REVEAL if revealed else Action.PLEASE_CONTRIBUTE

    async def _standing(self) -> Standing:
        credibility = self.credibility
        return await patiently(
            self.task, credibility.blocks, lambda: credibility.conditions.standing(self.task)
        )

    def _now(self) -> float:
        return self.credibility.conditions.now()
