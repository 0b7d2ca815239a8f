"""What becomes of tasks that are not over when the worker ends: a line for each, for a person."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.chain.calls import Kind
from iexec_worker.model import TaskStatus
from iexec_worker.replicates.asking import UNANSWERED
from iexec_worker.replicates.standings import may_still_reveal
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iexec_worker.replicates.journal import Journal
    from iexec_worker.stages.conditions import Conditions, Standing
    from iexec_worker.stages.task import Record, Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds that the chain has to say how a task stands: a stop must not wait for a node.
PATIENCE: Final = 1.5

_GOES_ON: Final = "parked: it goes on when the worker starts again"
_UNKNOWN: Final = "its deadline, which is not known yet"


@frozen
class Parking:
    """Asks the chain, through *conditions*, what is at stake for each task that is left."""

    conditions: Conditions

    async def announce(self, tasks: Iterable[Task]) -> None:
        """Say of each of *tasks* what happens next and until when. Takes `PATIENCE` at most."""
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(self._announce, task)

    async def _announce(self, task: Task) -> None:
        if not _at_stake(task.record):
            log.warning(
                _GOES_ON,
                task=task.id,
                was=task.node.doing,
                before=self._limit(task),
            )
            return
        standing = await self._standing(task)
        if standing is None or may_still_reveal(standing, self.conditions.now()):
            self._warn_of_stake(task, standing)
        else:
            log.warning("parked: nothing of ours is at stake any more", task=task.id)

    async def _standing(self, task: Task) -> Standing | None:
        # Without its description not even a node that is behind can be told from another.
        with trio.move_on_after(PATIENCE if task.known else 0):
            try:
                return await self.conditions.standing(task)
            except UNANSWERED as error:
                log.debug("the chain does not say how a task stands", reason=str(error))
        return None

    def _warn_of_stake(self, task: Task, standing: Standing | None) -> None:
        if standing is not None and standing.task.status is TaskStatus.REVEALING:
            moment = self._moment(standing.task.reveal_deadline)
            log.error(
                "parked with a reveal that is due: the stake is lost unless it is sent in time",
                task=task.id,
                reveal_before=moment,
                next_step=f"start the worker again before {moment}",
            )
            return
        _warn_of_contribution(task.id, self._limit(task))

    def _limit(self, task: Task) -> str:
        """Say until when the task can go on."""
        if not task.known:
            return _UNKNOWN
        if Status.CONTRIBUTED in task.record.told:
            return self._moment(task.description.final_deadline)
        return self._moment(task.description.contribution_deadline)

    def _moment(self, when: float) -> str:
        return _moment(when, self.conditions.now())


async def announce_unmet(journal: Journal) -> None:
    """Say the same of the tasks in *journal* when no membership has taken them up in this life."""
    try:
        records, lost = await journal.load()
    except OSError as error:
        log.warning("the tasks of an earlier life cannot be read", reason=str(error))
        return
    for record in records:
        limit, task_id = record.final_deadline, record.authorization.chain_task_id
        before = _moment(limit, time.time()) if limit else _UNKNOWN
        if _at_stake(record):
            _warn_of_contribution(task_id, before)
        else:
            log.warning(_GOES_ON, task=task_id, was="not taken up in this life", before=before)
    for task_id in lost:
        log.warning(_GOES_ON, task=task_id, was="its journal is lost", before=_UNKNOWN)


def _warn_of_contribution(task_id: str, limit: str) -> None:
    log.error(
        "parked with a contribution that is not revealed: the pool may ask for it at any time",
        task=task_id,
        final_deadline=limit,
        next_step="start the worker again soon: a reveal has only minutes",
    )


def _moment(when: float, now: float) -> str:
    """Say *when* as time of day, and how far ahead of *now* that is."""
    clock = datetime.fromtimestamp(when, UTC).astimezone()
    return f"{clock:%Y-%m-%d %H:%M:%S %Z}, in {when - now:.0f} s"


def _at_stake(record: Record) -> bool:
    """True iff a contribution of ours may be on-chain and its reveal is not known to be."""
    sent = Kind.CONTRIBUTE in record.transactions or Status.CONTRIBUTED in record.told
    # Of a record that was lost only the chain knows whether one was sent.
    found_again = record.lost or record.recomputing
    return (sent or found_again) and Status.REVEALED not in record.told
