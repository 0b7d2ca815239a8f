"""One step of a replicate: say that it begins, do it, say how it ended, learn what is next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.chain.calls import Kind
from iexec_worker.errors import (
    OutOfGas,
    Rejected,
    StageFailed,
    Transient,
    Unauthorized,
    Unserved,
)
from iexec_worker.model import ComputeLogs, StatusUpdate
from iexec_worker.replicates.asking import UNANSWERED
from iexec_worker.replicates.table import ROWS, Row, Until, next_action
from iexec_worker.supervise import Backoff, describe
from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iexec_worker.replicates.credibility import Credibility
    from iexec_worker.scheduler.api import Answer
    from iexec_worker.scheduler.session import Session
    from iexec_worker.stages.task import Record, Stage, Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: What may pass, wherever in a stage it comes from: a service that is away, a node that refuses
#: for reasons of its own, a full disk. Stages give a cause to refusals that mean something.
PASSING: Final = (Transient, Rejected, Unauthorized, OSError)

#: Seconds that an urgent step waits for the pool to hear that it begins.
HELD_BACK_AFTER: Final = 20.0

#: Between two tries of a step whose services are away.
BACKOFF: Final = Backoff(first=1.0, limit=30.0)


@frozen
class Steps:
    """
    Performs steps with the stages it was given; *now* is the wall clock.

    *observe* is told which status each step was to end with, whether it did, and the seconds.
    """

    stages: Mapping[Action, Stage]
    session: Session
    credibility: Credibility
    now: Callable[[], float]
    observe: Callable[[Status, bool, float], None]

    def can(self, action: Action) -> bool:
        """True iff *action* is a step that this worker knows how to do."""
        return action in self.stages

    async def perform(self, task: Task, action: Action) -> Action | None:
        """
        Do the step *action* and return what comes next; None: wait for the pool.

        A step that a crash interrupted goes on where its record says: a result that was not
        acknowledged is told again, without doing the work again.
        """
        row = ROWS[action]
        result = task.record.update
        if result is None or result.status not in (row.done, row.failed):
            if not await self._announce(task, row) or await self._is_dropped(task, action):
                return Action.PLEASE_ABORT
            began = trio.current_time()
            result = await self.outcome(task, action)
            self.observe(row.done, result.status is row.done, trio.current_time() - began)
            task.record.update = result
            await task.save()
        return await self._tell(task, result)

    async def tell(self, task: Task, update: StatusUpdate, *, deadline: float) -> Answer:
        """
        Tell one status, after those that were held back, until the pool has heard it.

        Raises `Unavailable` when *deadline* (wall clock) passes before.
        """
        while task.record.held:
            await self._tell_one(task, task.record.held[0], deadline)
            del task.record.held[0]
        return await self._tell_one(task, update, deadline)

    async def _tell_one(self, task: Task, update: StatusUpdate, deadline: float) -> Answer:
        task.node.doing = f"telling the pool {update.status}"
        answer = await self.session.report(task.id, update, deadline=deadline)
        log.info("told", task=task.id, status=update.status, cause=update.cause, code=answer.code)
        if not answer.refused:
            task.record.told.append(update.status)
        return answer

    async def _announce(self, task: Task, row: Row) -> bool:
        """Say that the step begins; False when pool and chain agree that it must not."""
        update = StatusUpdate(row.ongoing)
        urgent = row.is_urgent or _is_behind_a_reveal(task.record, row)
        with trio.move_on_after(HELD_BACK_AFTER if urgent else math.inf) as scope:
            answer = await self.tell(task, update, deadline=task.description.final_deadline)
            if answer.refused:
                return await self._still_wanted(task)
        if scope.cancelled_caught:
            log.warning(
                "the pool is told later: this cannot wait", task=task.id, status=row.ongoing
            )
            task.record.held.append(update)
        return True

    async def _still_wanted(self, task: Task) -> bool:
        """Ask pool and chain whether a refusal really means that the task is to be dropped."""
        doubt = await self.credibility.doubt(task, Action.PLEASE_ABORT, in_step=True)
        log.warning("the pool refuses a status", task=task.id, goes_on=doubt or "no")
        return bool(doubt)

    async def _is_dropped(self, task: Task, action: Action) -> bool:
        """
        True for the error of a trusted task that the pool has given up while it asked for it.

        It does so once all its workers have failed, and tells the one that is the last of them to
        go on all the same; the stake would be locked until long after.
        """
        if action is not Action.PLEASE_CONTRIBUTE or task.description.tee_framework is None:
            return False
        try:
            doubt = await self.credibility.doubt(task, Action.PLEASE_ABORT, in_step=True)
        except UNANSWERED as error:
            log.info("not known whether a task was given up", task=task.id, reason=str(error))
            return False
        return not doubt

    async def outcome(self, task: Task, action: Action) -> StatusUpdate:
        """
        Do the work of *action* and say how it ended; the pool is told nothing.

        Passing errors of services are no end of it while there is time.
        """
        row = ROWS[action]
        tries = 0
        while True:
            try:
                details = await self.stages[action](task)
            except StageFailed as error:
                log.warning("step failed", task=task.id, step=action, reason=str(error))
                return _failed(row, error)
            except PASSING as error:
                tries += 1
                pause = BACKOFF.delay(tries)
                log.warning(
                    "step not possible now", task=task.id, step=action, reason=describe(error)
                )
                if self.now() + pause >= _deadline(task, row):
                    return StatusUpdate(row.failed, cause=_cause(row, error))
                task.node.doing = f"trying again in {pause:.0f} s: {describe(error)}"
                await trio.sleep(pause)
            else:
                return StatusUpdate(
                    row.done,
                    exit_code=details.exit_code,
                    compute_logs=details.compute_logs,
                    chain_receipt=details.chain_receipt,
                    result_link=details.result_link,
                    chain_callback_data=details.chain_callback_data,
                )

    def hold_back(self, task: Task) -> None:
        """Leave the result of a step that has ended to the next `tell`: the chain does not wait."""
        assert task.record.update is not None, "the step has ended"
        task.record.held.append(task.record.update)
        task.record.update = task.record.action = None

    async def _tell(self, task: Task, update: StatusUpdate) -> Action | None:
        """Report the result of a step until the pool has heard it, and read its wish."""
        answer = await self.tell(task, update, deadline=task.description.final_deadline)
        heard = answer.action
        if answer.known_before:
            # What comes with it is PLEASE_WAIT, not the next action: that we must know ourselves.
            heard = next_action(update, task.description)
        elif answer.refused and update.cause is None and await self._still_wanted(task):
            # Perhaps a stranger asked for the step: the pool will ask itself.
            heard = None
        task.record.update = None
        task.record.action = None if heard in WAITING else heard
        await task.save()
        return task.record.action


#: Answers after which there is nothing to do until the pool says more.
WAITING: Final = frozenset({None, Action.PLEASE_WAIT, Action.PLEASE_CONTINUE})


def _is_behind_a_reveal(record: Record, row: Row) -> bool:
    """True iff the contribution may stand already: its reveal waits for this step, not the pool."""
    sent = Kind.CONTRIBUTE in record.transactions or record.consensus_block > 0
    return sent and row.ongoing is Status.CONTRIBUTING


def _failed(row: Row, error: StageFailed) -> StatusUpdate:
    ran = error.exit_code is not None
    return StatusUpdate(
        row.failed,
        cause=error.cause,
        exit_code=error.exit_code,
        compute_logs=ComputeLogs(error.stdout, error.stderr) if ran else None,
    )


def _cause(row: Row, error: Exception) -> Cause:
    """Return what the pool is told of an *error* that did not pass in time."""
    if isinstance(error, Unserved):
        return error.cause
    return Cause.OUT_OF_GAS if isinstance(error, OutOfGas) else row.unreachable


def _deadline(task: Task, row: Row) -> float:
    if row.until is Until.CONTRIBUTION and not task.record.recomputing:
        return task.description.contribution_deadline
    return task.description.final_deadline
