"""Who gets which task, and when: `/replicates/available`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define, field

from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.scheduler.authorization import authorize
from iexec_worker.devpool.scheduler.consensus import needs_more
from iexec_worker.devpool.scheduler.state import OPEN, Replicate, TaskState
from iexec_worker.model import TaskStatus, TeeFramework
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iexec_worker.devpool.scheduler.memory import Memory
    from iexec_worker.devpool.scheduler.ports import Chain
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Store, Task, Worker
    from iexec_worker.devpool.scheduler.verification import Verification

_SGX: Final = (tag_of(TeeFramework.SCONE), tag_of(TeeFramework.GRAMINE))
_TDX: Final = (tag_of(TeeFramework.TDX),)
#: What a worker must be able to pay on a chain with gas: 1,000,000 at 22 gwei.
_MIN_BALANCE: Final = 1_000_000 * 22 * 10**9


@define(eq=False)
class Offers:
    """Hands tasks out, one question at a time."""

    store: Store
    chain: Chain
    verification: Verification
    settings: SchedulerSettings
    _turn: trio.Lock = field(factory=trio.Lock, init=False)

    async def ask(self, memory: Memory, wallet: str, block: int) -> dict[str, Any] | None:
        """The `ReplicateTaskSummary` for *wallet*, whose replicate then exists; None: no work."""
        if not memory.may_ask(wallet) or block <= 0:
            return None
        async with self._turn:
            worker = self.store.workers.get(wallet)
            if worker is None or len(worker.computing) >= worker.slots:
                return None
            if not self.settings.sidechain and await self.chain.balance(wallet) < _MIN_BALANCE:
                return None
            return await self._offer(worker)

    async def _offer(self, worker: Worker) -> dict[str, Any] | None:
        for task in self._candidates(worker):
            if await self._wanted(task, worker.wallet):
                self._give(task, worker)
                version = self.settings.numbers
                signed = authorize(self.chain, task, worker.wallet, version)
                return {"workerpoolAuthorization": signed, "smsUrl": task.sms_url}
        return None

    def _candidates(self, worker: Worker) -> Iterable[Task]:
        excluded = excluded_tags(worker, self.settings.numbers)
        fitting = [
            task
            for task in self.store.in_state(*OPEN)
            if not task.too_late
            and task.deal.tag not in excluded
            and worker.wallet not in task.replicates
        ]
        return sorted(
            fitting, key=lambda t: (t.state is not TaskState.RUNNING, t.contribution_deadline)
        )

    async def _wanted(self, task: Task, wallet: str) -> bool:
        weights = {known: await self.verification.weight(known) for known in task.replicates}
        if not needs_more(task, weights, self.store.clock.now()):
            return False
        onchain = await self.chain.task(task.chain_task_id)
        # While this waited for the chain, the task may have moved on.
        still_open = task.state in OPEN and wallet not in task.replicates
        return still_open and onchain is not None and onchain.status is TaskStatus.ACTIVE

    def _give(self, task: Task, worker: Worker) -> None:
        replicate = task.replicates[worker.wallet] = Replicate(worker.wallet, task.clock)
        replicate.add(Status.CREATED, by_worker=False)
        worker.participating.append(task.chain_task_id)
        worker.computing.append(task.chain_task_id)
        self.store.changes.ring()


def excluded_tags(worker: Worker, version: tuple[int, ...]) -> tuple[str, ...]:
    """The tags whose tasks *worker* cannot do; tags with more bits are not seen through."""
    tee, tdx = worker.model.tee_enabled, worker.model.tdx_enabled
    sgx = () if tee else _SGX
    if version < (9, 2):
        return sgx
    return sgx + (() if tdx else _TDX)
