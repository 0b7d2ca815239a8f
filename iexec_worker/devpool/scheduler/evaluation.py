"""How a task moves from state to state, and what workers are told of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import structlog
from attrs import define

from iexec_worker.devpool.broker.notifications import Extra, Message
from iexec_worker.devpool.chain.hashing import from_hex
from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.devpool.scheduler.transitions import FAILED_BEFORE_COMPUTED
from iexec_worker.errors import Reverted, Unavailable
from iexec_worker.model import TaskStatus
from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from iexec_worker.devpool.chain.onchain import PoolTask
    from iexec_worker.devpool.scheduler.ports import Chain
    from iexec_worker.devpool.scheduler.state import Replicate, Store, Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_AT_WORK = frozenset(
    {
        Status.STARTED,
        Status.APP_DOWNLOADING,
        Status.APP_DOWNLOAD_FAILED,
        Status.APP_DOWNLOADED,
        Status.DATA_DOWNLOADING,
        Status.DATA_DOWNLOAD_FAILED,
        Status.DATA_DOWNLOADED,
        Status.COMPUTING,
        Status.COMPUTE_FAILED,
        Status.COMPUTED,
        Status.CONTRIBUTING,
        Status.CONTRIBUTE_FAILED,
        Status.CONTRIBUTED,
        Status.CONTRIBUTE_AND_FINALIZE_ONGOING,
        Status.CONTRIBUTE_AND_FINALIZE_FAILED,
        Status.CONTRIBUTE_AND_FINALIZE_DONE,
    }
)


@define(eq=False)
class Evaluation:
    """
    Moves tasks as far as replicates and chain allow; one evaluation per task at a time.

    *alive* gives the wallets of the workers that were heard of lately.
    """

    store: Store
    chain: Chain
    notify: Callable[[Message], None]
    alive: Callable[[], Collection[str]]

    async def evaluate(self, task: Task) -> None:
        """Move *task* on; without an answer of the node it stays where it is."""
        async with task.lock:
            try:
                while await self._step(task):
                    pass
            except Unavailable as reason:
                log.warning("task waits for the node", task=task.chain_task_id, reason=str(reason))

    def fail(self, task: Task, by: TaskState, message: Message | None = None) -> None:
        """End *task* as failed, and tell its workers to abort it."""
        task.enter(by)
        task.enter(TaskState.FAILED)
        self.store.dismiss(task)
        self.notify(message or Message(task.chain_task_id, Action.PLEASE_ABORT))

    async def _step(self, task: Task) -> bool:
        match task.state:
            case TaskState.RUNNING:
                return (
                    self._finalized_by_worker(task)
                    or await self._agreed(task)
                    or self._failed_by_all(task)
                )
            case TaskState.RESULT_UPLOADED:
                return await self._finalize(task)
        return self._step_at_once(task)

    def _step_at_once(self, task: Task) -> bool:
        match task.state:
            case TaskState.INITIALIZED:
                return _started(task)
            case TaskState.CONSENSUS_REACHED:
                return _first_revealed(task)
            case TaskState.AT_LEAST_ONE_REVEALED:
                return self._ask_for_upload(task)
            case TaskState.RESULT_UPLOADING:
                return _uploaded(task) or self._ask_for_upload(task)
        return False

    async def _agreed(self, task: Task) -> bool:
        onchain = await self.chain.task(task.chain_task_id)
        if onchain is None or onchain.status is not TaskStatus.REVEALING:
            return False
        consensus = onchain.consensus_value
        winners = [
            r.wallet
            for r in task.replicates.values()
            if r.ever(Status.CONTRIBUTED) and r.contribution_hash == consensus
        ]
        block = await self.chain.consensus_block(task.chain_task_id)
        if len(winners) < onchain.winner_counter or block is None:
            return False
        task.consensus, task.consensus_block = consensus, block
        task.reveal_deadline = onchain.reveal_deadline
        task.enter(TaskState.CONSENSUS_REACHED)
        self._tell_of_consensus(task, winners)
        return True

    def _tell_of_consensus(self, task: Task, winners: list[str]) -> None:
        reveal = Extra(block_number=task.consensus_block)
        self.notify(Message(task.chain_task_id, Action.PLEASE_REVEAL, winners, reveal))
        losers = [wallet for wallet in task.replicates if wallet not in winners]
        if losers:
            abort = Extra(abort_cause=Cause.CONSENSUS_REACHED)
            self.notify(Message(task.chain_task_id, Action.PLEASE_ABORT, losers, abort))

    def _finalized_by_worker(self, task: Task) -> bool:
        done = task.now_in(Status.CONTRIBUTE_AND_FINALIZE_DONE)
        if not done:
            return False
        if len(done) > 1:
            self.fail(task, TaskState.RUNNING_FAILED)
        else:
            self._complete(task)
        return True

    def _failed_by_all(self, task: Task) -> bool:
        """Give a TEE task up when every living worker has tried and failed."""
        wallets = self.alive()
        if task.framework is None or not wallets:
            return False
        tries = [task.replicates.get(wallet) for wallet in wallets]
        if not all(replicate is not None and _failed_early(replicate) for replicate in tries):
            return False
        self.fail(task, TaskState.RUNNING_FAILED)
        return True

    def _ask_for_upload(self, task: Task) -> bool:
        if task.now_in(Status.RESULT_UPLOAD_REQUESTED, Status.RESULT_UPLOADING):
            return False
        revealers = task.now_in(Status.REVEALED)
        if not revealers:
            return False
        chosen = random.choice(revealers)
        chosen.add(Status.RESULT_UPLOAD_REQUESTED, by_worker=False)
        task.enter(TaskState.RESULT_UPLOADING)
        self.notify(Message(task.chain_task_id, Action.PLEASE_UPLOAD, (chosen.wallet,)))
        return True

    async def _finalize(self, task: Task) -> bool:
        onchain = await self.chain.task(task.chain_task_id)
        if onchain is not None and onchain.status is TaskStatus.COMPLETED:
            # A process before this one sent the transaction and did not live to see it mined.
            self._complete(task)
            return True
        if onchain is None or not _may_finalize(task, onchain):
            return False
        uploaded = next(r for r in task.replicates.values() if r.ever(Status.RESULT_UPLOADED))
        task.enter(TaskState.FINALIZING)
        callback = from_hex(uploaded.callback_data) if task.has_callback else b""
        try:
            await self.chain.finalize(task.chain_task_id, uploaded.result_link.encode(), callback)
        except (Reverted, Unavailable, ValueError) as reason:
            log.warning("not finalised", task=task.chain_task_id, reason=str(reason))
            self.fail(task, TaskState.FINALIZE_FAILED)
            return False
        self._complete(task)
        return True

    def _complete(self, task: Task) -> None:
        task.enter(TaskState.FINALIZED)
        task.enter(TaskState.COMPLETED)
        self.store.dismiss(task)
        self.notify(Message(task.chain_task_id, Action.PLEASE_COMPLETE))


def _started(task: Task) -> bool:
    if not any(r.relevant in _AT_WORK for r in task.replicates.values()):
        return False
    task.enter(TaskState.RUNNING)
    return True


def _failed_early(replicate: Replicate) -> bool:
    # What it says after that, such as ABORTED, does not mend it.
    return any(replicate.ever(status) for status in FAILED_BEFORE_COMPUTED)


def _first_revealed(task: Task) -> bool:
    if not task.now_in(Status.REVEALED):
        return False
    task.enter(TaskState.AT_LEAST_ONE_REVEALED)
    return True


def _uploaded(task: Task) -> bool:
    if not any(r.ever(Status.RESULT_UPLOADED) for r in task.replicates.values()):
        return False
    task.enter(TaskState.RESULT_UPLOADED)
    return True


def _may_finalize(task: Task, onchain: PoolTask) -> bool:
    now = task.clock.now()
    all_known = onchain.reveal_counter == sum(
        r.ever(Status.REVEALED) for r in task.replicates.values()
    )
    enough = onchain.reveal_counter == onchain.winner_counter or (
        onchain.reveal_counter > 0 and now > onchain.reveal_deadline
    )
    revealing = onchain.status is TaskStatus.REVEALING and now < onchain.final_deadline
    return revealing and enough and all_known
