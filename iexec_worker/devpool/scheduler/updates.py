"""What happens when a worker tells a status: `/replicates/{task}/updateStatus`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field, frozen

from iexec_worker.devpool.scheduler.answers import next_action
from iexec_worker.devpool.scheduler.transitions import FAILED_BEFORE_COMPUTED, allowed
from iexec_worker.wire import Action, Status

if TYPE_CHECKING:
    from iexec_worker.devpool.scheduler.evaluation import Evaluation
    from iexec_worker.devpool.scheduler.messages import Update
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Replicate, Store, Task
    from iexec_worker.devpool.scheduler.verification import Verdict, Verification

_MOVES_THE_TASK: Final = FAILED_BEFORE_COMPUTED | {
    Status.STARTED,
    Status.CONTRIBUTED,
    Status.REVEALED,
    Status.RESULT_UPLOADED,
    Status.CONTRIBUTE_AND_FINALIZE_DONE,
}
_FREES_A_SLOT: Final = FAILED_BEFORE_COMPUTED | {Status.COMPUTED}


@frozen
class Answer:
    """HTTP status and what is next; without *action* the body stays empty."""

    code: int
    action: Action | None


_ABORT: Final = Answer(202, Action.PLEASE_ABORT)
_KNOWN: Final = Answer(208, Action.PLEASE_WAIT)


@define(eq=False)
class Updates:
    """Checks, records and acts upon status updates; *background* is the process's nursery."""

    store: Store
    verification: Verification
    evaluation: Evaluation
    settings: SchedulerSettings
    background: trio.Nursery = field(init=False)

    async def tell(self, wallet: str, chain_task_id: str, update: Update) -> Answer:
        """Handle one update of a worker; what it causes is published before this returns."""
        found = self.store.replicate(chain_task_id, wallet)
        if found is None:
            return _ABORT
        task, replicate = found
        if refusal := _refusal(replicate, update.status):
            return refusal
        verdict = await self.verification.check(task, wallet, update)
        if not verdict.confirmed:
            return _ABORT
        # Checking takes time; another update of this replicate may have been faster.
        if refusal := _refusal(replicate, update.status):
            return refusal
        self.apply(task, replicate, update, verdict, by_worker=True)
        if update.status in _MOVES_THE_TASK:
            await self._settle(task)
        return Answer(200, next_action(task, update))

    def apply(
        self, task: Task, replicate: Replicate, update: Update, verdict: Verdict, *, by_worker: bool
    ) -> None:
        """Record a status that holds, with its effects but without evaluating the task."""
        status, details = update.status, update.details
        replicate.add(status, details, by_worker=by_worker)
        if status is Status.CONTRIBUTED:
            replicate.contribution_hash, replicate.weight = verdict.result_hash, verdict.weight
        if status in {Status.RESULT_UPLOADED, Status.CONTRIBUTE_AND_FINALIZE_DONE}:
            # Of a task that is on-chain already, the chain is believed and not the worker.
            replicate.result_link = verdict.result_link or details.result_link
            replicate.callback_data = details.callback_data
        if _has_logs(update) and replicate.logs is None:
            replicate.logs = details.logs
        self._lists(task, replicate.wallet, status)
        self.store.changes.ring()

    def _lists(self, task: Task, wallet: str, status: Status) -> None:
        worker = self.store.workers.get(wallet)
        if worker is None:
            return
        if status in _FREES_A_SLOT:
            worker.free(task.chain_task_id)
        if status in {Status.COMPLETED, Status.FAILED}:
            worker.drop(task.chain_task_id)

    async def _settle(self, task: Task) -> None:
        if self.background.cancel_scope.cancel_called:
            # The process died while it checked the update; the dead do not answer.
            await trio.sleep_forever()
        # In the background, so that it goes on when the client of the update leaves.
        settled = trio.Event()
        self.background.start_soon(self._evaluate, task, settled)
        with trio.move_on_after(self.settings.answer_last):
            await settled.wait()

    async def _evaluate(self, task: Task, settled: trio.Event) -> None:
        await self.evaluation.evaluate(task)
        settled.set()


def _refusal(replicate: Replicate, status: Status) -> Answer | None:
    if replicate.ever(status):
        return _KNOWN
    if not allowed(replicate.current, status):
        return _ABORT
    return None


def _has_logs(update: Update) -> bool:
    failed = update.status is Status.COMPUTE_FAILED and update.details.cause == "APP_COMPUTE_FAILED"
    return update.status is Status.COMPUTED or failed
