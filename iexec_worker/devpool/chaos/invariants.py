"""What has to hold after any faults, in any order. Sans-IO."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iexec_worker.devpool.chaos.evidence import Ended, Evidence, Part, Remains

#: Where a worker's part in a task ends.
_OVER: Final = frozenset({Status.COMPLETED, Status.ABORTED, Status.FAILED})

#: Seconds from a kill to the next status, where nothing else is in the way. Other faults are in
#: that of some kills: what counts is the median, of enough of them.
RECOVERY: Final = 5.0
_ENOUGH: Final = 5


@frozen
class Breach:
    """A broken invariant: where (a task, a worker) and what was *seen*."""

    invariant: str
    where: str
    seen: str


@frozen
class Invariant:
    """*text* is its promise; *seen* yields where it is broken, and by what."""

    name: str
    text: str
    seen: Callable[[Evidence], Iterator[tuple[str, str]]]


def breaches(evidence: Evidence) -> list[Breach]:
    """Everything in *evidence* that must not be."""
    return [
        Breach(invariant.name, where, seen)
        for invariant in INVARIANTS
        for where, seen in invariant.seen(evidence)
    ]


def _parts(evidence: Evidence) -> Iterator[tuple[str, Ended, Part]]:
    names = {worker.wallet: worker.name for worker in evidence.workers}
    for task in evidence.tasks:
        for part in task.parts:
            yield f"{_task(task)}, {names.get(part.wallet, '')} {part.wallet}", task, part


def _task(task: Ended) -> str:
    return f"task {task.number} {task.task_id}"


def _worker(worker: Remains) -> str:
    return f"{worker.name} {worker.wallet}"


def _once(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for where, _, part in _parts(evidence):
        # What the contracts have must be seen among the transactions, or nobody looked.
        contributed = part.onchain is not ContributionStatus.UNSET
        revealed = part.onchain is ContributionStatus.PROVED
        if not contributed <= part.contributions <= 1 or not revealed <= part.reveals <= 1:
            yield where, f"{part.contributions} contributions, {part.reveals} reveals"


def _revealed(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for where, task, part in _parts(evidence):
        if part.in_consensus and part.onchain is not ContributionStatus.PROVED:
            yield where, f"contribution {part.onchain.name}, task {task.onchain.name}"


def _stake(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for worker in evidence.workers:
        if worker.lost:
            yield _worker(worker), f"{worker.lost} nRLC less than deposited"


def _taken(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for task in evidence.tasks:
        if not task.parts:
            yield _task(task), f"{task.state}, given to nobody"


def _prompt(evidence: Evidence) -> Iterator[tuple[str, str]]:
    seconds = evidence.recoveries
    if len(seconds) >= _ENOUGH and statistics.median(seconds) > RECOVERY:
        yield f"half of {len(seconds)} kills", f"more than {statistics.median(seconds):.1f} s"


def _remembered(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for task in evidence.tasks:
        if not task.state.startswith(("COMPLETED", "FAILED")):
            yield _task(task), f"{task.state} in the pool, {task.onchain.name} on the chain"
    for where, _, part in _parts(evidence):
        if part.status not in _OVER:
            yield where, f"left at {part.status}"


def _delivered(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for task in evidence.tasks:
        if task.onchain is TaskStatus.COMPLETED and task.delivered != task.digest:
            yield (
                _task(task),
                f"{task.digest} on the chain, delivered {task.delivered or 'nothing'}",
            )


#: After these, and no other failure, an error is contributed as the result.
_ERROR_RESULT: Final = frozenset({Status.APP_DOWNLOAD_FAILED, Status.DATA_DOWNLOAD_FAILED})


def _honest(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for task in evidence.tasks:
        failed = any(
            p.in_consensus and not _ERROR_RESULT.isdisjoint(p.failures) for p in task.parts
        )
        wrong = task.onchain is TaskStatus.COMPLETED and task.digest != task.expected
        if wrong and not failed:
            yield _task(task), f"{task.digest} on the chain instead of {task.expected}"
    for where, _, part in _parts(evidence):
        for status, cause in part.failures.items():
            if not cause:
                yield where, f"{status} told without a cause"


def _containers(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for worker in evidence.workers:
        if worker.containers:
            yield _worker(worker), ", ".join(worker.containers)


def _folders(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for worker in evidence.workers:
        if worker.files:
            yield _worker(worker), ", ".join(worker.files)


def _journals(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for worker in evidence.workers:
        if worker.set_aside:
            yield _worker(worker), ", ".join(worker.set_aside)


def _drained(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for worker in evidence.workers:
        if not worker.drained or worker.status != 0:
            yield _worker(worker), f"exit status {worker.status} at the end"
        if worker.processes:
            yield _worker(worker), f"processes left: {', '.join(map(str, worker.processes))}"


def _logs(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for worker in evidence.workers:
        for error in worker.errors:
            yield _worker(worker), error


INVARIANTS: Final = (
    Invariant(
        "once",
        "No worker has more than one contribution and one reveal of a task mined.",
        _once,
    ),
    Invariant(
        "revealed",
        "Every contribution that is in the consensus was revealed before its deadline.",
        _revealed,
    ),
    Invariant("stake", "No wallet has lost any of its deposit.", _stake),
    Invariant("taken", "Every task was taken by a worker.", _taken),
    Invariant(
        "remembered",
        "Every task has ended, and so has each worker's part in it: none is forgotten.",
        _remembered,
    ),
    Invariant(
        "delivered",
        "The digest of a completed task on the chain is that of the archive that was uploaded.",
        _delivered,
    ),
    Invariant(
        "honest",
        "A result is that of an undisturbed run; work that was spoilt is told as failed, with a "
        "cause.",
        _honest,
    ),
    Invariant("containers", "No container of a task is left on the engine.", _containers),
    Invariant("folders", "No folder and no file of a task is left on the disk.", _folders),
    Invariant("journals", "No journal was found unreadable.", _journals),
    Invariant(
        "drained", "Every worker ends when told, with status 0 and all its processes.", _drained
    ),
    Invariant("logs", "No worker has logged an error or a traceback.", _logs),
    Invariant(
        "prompt",
        "A worker that was killed tells its next status within 5 s, for the most part.",
        _prompt,
    ),
)
