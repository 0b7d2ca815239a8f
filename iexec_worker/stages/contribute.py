"""PLEASE_CONTRIBUTE: commit to the result, on-chain, with stake."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.chain import commitments
from iexec_worker.chain.calls import Kind
from iexec_worker.errors import StageFailed
from iexec_worker.stages.insisting import Attempt, insist
from iexec_worker.stages.task import Details
from iexec_worker.stages.trusted.enclave_signature import require_enclave_signature
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.chain.hub import Hub
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Task


@frozen
class Contribute:
    """Sends the one contribution of this worker to this task; of trusted ones only an error's."""

    conditions: Conditions
    hub: Hub
    sending: Sending
    wallet: str

    async def __call__(self, task: Task) -> Details:
        computed = task.record.computed
        digest = computed.result_digest if computed else ""
        is_done = partial(self._is_done, task, digest)
        if await is_done():
            return Details(chain_receipt=await self.sending.receipt(task, Kind.CONTRIBUTE))
        check = partial(self.conditions.check, task, staking=True)
        await check()
        if computed is None or not digest:
            raise StageFailed(Cause.DETERMINISM_HASH_NOT_FOUND, "there is no result to contribute")
        require_enclave_signature(computed, task.authorization)
        task.node.doing = "contributing"
        call = self.hub.contribute(
            task.id,
            commitments.result_hash(task.id, digest),
            commitments.result_seal(self.wallet, task.id, digest),
            task.authorization,
            computed.enclave_signature,
        )
        send = partial(self.sending.send, task, call)
        attempt = Attempt(Kind.CONTRIBUTE, send, is_done, check)
        return Details(chain_receipt=await insist(task, self.sending, attempt))

    async def _is_done(self, task: Task, digest: str) -> bool:
        """Our own contribution, mined before a crash or behind a lost answer, is success."""
        standing = await self.conditions.standing(task)
        return bool(digest) and standing.contributed(commitments.result_hash(task.id, digest))
