"""PLEASE_CONTRIBUTE: commit to the result, on-chain, with stake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.chain import commitments
from iexec_worker.errors import Reverted, StageFailed
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.chain.hub import Hub
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Looks, a block apart, at a call that is refused although all conditions hold: the node that was
#: asked may be some blocks behind the one that the pool, or we, asked before.
LOOKS: Final = 6

#: Seconds after which the next look is due though no block came: some chains idle.
PATIENCE: Final = 15.0


@frozen
class Contribute:
    """Sends the one contribution of this worker to this task."""

    conditions: Conditions
    hub: Hub
    sending: Sending
    wallet: str

    async def __call__(self, task: Task) -> Details:
        computed = task.record.computed
        digest = computed.result_digest if computed else ""
        if await self._is_done(task, digest):
            return Details(chain_receipt=await self.sending.receipt(task, "contribute"))
        await self.conditions.check(task)
        if not digest:
            raise StageFailed(Cause.DETERMINISM_HASH_NOT_FOUND, "there is no result to contribute")
        task.node.doing = "contributing"
        call = self.hub.contribute(
            task.id,
            commitments.result_hash(task.id, digest),
            commitments.result_seal(self.wallet, task.id, digest),
            task.authorization,
        )
        for left in reversed(range(LOOKS)):
            try:
                return Details(chain_receipt=await self.sending.send(task, "contribute", call))
            except Reverted as error:
                if await self._is_done(task, digest):
                    break
                await self.conditions.check(task)
                if not left:
                    raise StageFailed(Cause.CHAIN_RECEIPT_NOT_VALID, str(error)) from error
                log.warning("contribution refused, trying again", task=task.id, reason=str(error))
            with trio.move_on_after(PATIENCE):
                await self.sending.blocks.next()
        return Details(chain_receipt=await self.sending.receipt(task, "contribute"))

    async def _is_done(self, task: Task, digest: str) -> bool:
        """Our own contribution, mined before a crash or behind a lost answer, is success."""
        standing = await self.conditions.standing(task)
        return bool(digest) and standing.contributed(commitments.result_hash(task.id, digest))
