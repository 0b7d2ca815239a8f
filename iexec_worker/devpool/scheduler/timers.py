"""What the scheduler notices by itself: deadlines, stuck uploads, things nobody told it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import define

from iexec_worker.devpool.broker.notifications import Extra, Message
from iexec_worker.devpool.scheduler.messages import Details, Update
from iexec_worker.devpool.scheduler.state import OPEN, REVEALING, TaskState
from iexec_worker.devpool.scheduler.transitions import allowed, missing
from iexec_worker.devpool.scheduler.verification import Verdict
from iexec_worker.errors import Unavailable
from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.devpool.scheduler.evaluation import Evaluation
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Replicate, Store, Task
    from iexec_worker.devpool.scheduler.updates import Updates
    from iexec_worker.devpool.scheduler.verification import Verification

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class Timers:
    """The periodic detectors; each may also be called by itself."""

    store: Store
    evaluation: Evaluation
    verification: Verification
    updates: Updates
    settings: SchedulerSettings

    async def run(self) -> None:
        """Run all detectors in their rhythms until cancelled."""
        periods = self.settings.periods
        async with trio.open_nursery() as nursery:
            for period, detect in (
                (periods.contribution_check, self.contribution_deadlines),
                (periods.final_check, self.final_deadlines),
                (periods.reveal_check, self.reveal_deadlines),
                (periods.upload_check, self.uploads),
                (periods.consensus_check, self.consensus),
                (periods.finalize_check, self.finalisations),
                (periods.unnotified_ongoing, self.unnotified_ongoing),
                (periods.unnotified, self.unnotified),
            ):
                nursery.start_soon(_every, period, detect)

    async def contribution_deadlines(self) -> None:
        """Fail the tasks nobody contributed enough to in time."""
        for task in self.store.in_state(*OPEN):
            if task.too_late:
                await self.evaluation.evaluate(task)
                if task.state in OPEN:
                    cause = Extra(abort_cause=Cause.CONTRIBUTION_TIMEOUT)
                    wallets = tuple(task.replicates)
                    message = Message(task.chain_task_id, Action.PLEASE_ABORT, wallets, cause)
                    self.evaluation.fail(task, TaskState.CONTRIBUTION_TIMEOUT, message)

    async def final_deadlines(self) -> None:
        """Fail the tasks that are not done when the contracts let everyone claim them."""
        for task in self.store.unfinished():
            if task.over and not task.lock.locked():
                self.evaluation.fail(task, TaskState.FINAL_DEADLINE_REACHED)

    async def reveal_deadlines(self) -> None:
        """Give up replicates that did not reveal in time; their task waits for its end."""
        for task in self.store.in_state(*REVEALING):
            if task.reveal_deadline and task.clock.now() > task.reveal_deadline:
                for replicate in task.now_in(Status.CONTRIBUTED, Status.REVEALING):
                    details = Details(cause="REVEAL_TIMEOUT")
                    self._mark(task, replicate, Status.FAILED, details)
                await self.evaluation.evaluate(task)

    async def uploads(self) -> None:
        """Take an upload that takes too long from its worker, and ask another."""
        limit = self.settings.periods.upload_limit
        for task in self.store.in_state(TaskState.RESULT_UPLOADING):
            stuck_for = task.clock.now() - task.entered_at
            if stuck_for > limit and not await self.verification.present(task):
                stuck = task.now_in(Status.RESULT_UPLOAD_REQUESTED, Status.RESULT_UPLOADING)
                for replicate in stuck:
                    self._mark(task, replicate, Status.RESULT_UPLOAD_FAILED)
                await self.evaluation.evaluate(task)

    async def consensus(self) -> None:
        """Look whether running tasks reached their consensus."""
        for task in self.store.in_state(TaskState.RUNNING):
            await self.evaluation.evaluate(task)

    async def finalisations(self) -> None:
        """Look whether uploaded tasks can be finalised now."""
        for task in self.store.in_state(TaskState.RESULT_UPLOADED):
            await self.evaluation.evaluate(task)

    async def unnotified_ongoing(self) -> None:
        """Find what happened on-chain to those who last said that they were about to do it."""
        await self._unnotified(
            finalizing=(Status.CONTRIBUTE_AND_FINALIZE_ONGOING,),
            contributing=(Status.CONTRIBUTING,),
            revealing=(Status.REVEALING,),
        )

    async def unnotified(self) -> None:
        """Find what happened on-chain to anybody without being told."""
        before_contributed = tuple(
            status
            for status in Status
            if allowed(status, Status.CONTRIBUTING) or allowed(status, Status.COMPUTING)
        )
        await self._unnotified(
            finalizing=(*before_contributed, Status.CONTRIBUTE_AND_FINALIZE_ONGOING),
            contributing=before_contributed,
            revealing=(Status.CONTRIBUTED,),
        )

    async def _unnotified(
        self,
        *,
        finalizing: tuple[Status, ...],
        contributing: tuple[Status, ...],
        revealing: tuple[Status, ...],
    ) -> None:
        for task in self.store.in_state(*OPEN):
            await self._finalized(task, finalizing)
        for task in self.store.in_state(*OPEN):
            for replicate in _relevant_in(task, contributing):
                verdict = await self.verification.verdict_of_contribution(task, replicate.wallet)
                if verdict.confirmed:
                    await self._fill_in(task, replicate, Status.CONTRIBUTED, verdict)
        for task in self.store.in_state(*REVEALING):
            for replicate in _relevant_in(task, revealing):
                if await self.verification.revealed(task, replicate.wallet):
                    verdict = Verdict(confirmed=True)
                    await self._fill_in(task, replicate, Status.REVEALED, verdict)

    async def _finalized(self, task: Task, statuses: tuple[Status, ...]) -> None:
        if not task.finalized_by_worker:
            return
        for replicate in _relevant_in(task, statuses):
            verdict = await self.verification.verdict_of_finalization(task, replicate.wallet)
            if verdict.confirmed:
                await self._fill_in(task, replicate, Status.CONTRIBUTE_AND_FINALIZE_DONE, verdict)

    async def _fill_in(
        self, task: Task, replicate: Replicate, wanted: Status, verdict: Verdict
    ) -> None:
        log.info("worker did not tell", task=task.chain_task_id, status=wanted)
        for status in missing(replicate.relevant, wanted):
            if not replicate.ever(status):
                self._mark(task, replicate, status, verdict=verdict)
        await self.evaluation.evaluate(task)

    def _mark(
        self,
        task: Task,
        replicate: Replicate,
        status: Status,
        details: Details = Details(),  # noqa: B008 - frozen
        verdict: Verdict = Verdict(confirmed=True),  # noqa: B008 - frozen
    ) -> None:
        update = Update(status, details, {})
        self.updates.apply(task, replicate, update, verdict, by_worker=False)


def _relevant_in(task: Task, statuses: tuple[Status, ...]) -> list[Replicate]:
    return [r for r in task.replicates.values() if r.relevant in statuses]


async def _every(period: float, detect: Callable[[], Awaitable[None]]) -> None:
    while True:
        await trio.sleep(period)
        try:
            await detect()
        except Unavailable as reason:
            log.warning("detector waits for the node", reason=str(reason))
