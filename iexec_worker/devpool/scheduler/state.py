"""Tasks, replicates and workers: what the scheduler keeps, also over a restart."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field, frozen

from iexec_worker.devpool.changes import Changes
from iexec_worker.devpool.clock import Clock
from iexec_worker.model import ZERO_ADDRESS
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iexec_worker.devpool.chain.onchain import PoolDeal
    from iexec_worker.devpool.scheduler.deal_params import Params
    from iexec_worker.devpool.scheduler.messages import Details, Model
    from iexec_worker.model import TeeFramework

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_OBSERVED: Final = frozenset({Status.WORKER_LOST, Status.RECOVERING})


class TaskState(enum.StrEnum):
    """Where a task is in its life, off-chain."""

    RECEIVED = "RECEIVED"
    INITIALIZING = "INITIALIZING"
    INITIALIZED = "INITIALIZED"
    INITIALIZE_FAILED = "INITIALIZE_FAILED"
    RUNNING = "RUNNING"
    RUNNING_FAILED = "RUNNING_FAILED"
    CONTRIBUTION_TIMEOUT = "CONTRIBUTION_TIMEOUT"
    CONSENSUS_REACHED = "CONSENSUS_REACHED"
    AT_LEAST_ONE_REVEALED = "AT_LEAST_ONE_REVEALED"
    RESULT_UPLOADING = "RESULT_UPLOADING"
    RESULT_UPLOADED = "RESULT_UPLOADED"
    FINALIZING = "FINALIZING"
    FINALIZED = "FINALIZED"
    FINALIZE_FAILED = "FINALIZE_FAILED"
    FINAL_DEADLINE_REACHED = "FINAL_DEADLINE_REACHED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


OPEN: Final = frozenset({TaskState.INITIALIZED, TaskState.RUNNING})
ENDED: Final = frozenset({TaskState.COMPLETED, TaskState.FAILED})
REVEALING: Final = frozenset(
    {
        TaskState.CONSENSUS_REACHED,
        TaskState.AT_LEAST_ONE_REVEALED,
        TaskState.RESULT_UPLOADING,
        TaskState.RESULT_UPLOADED,
    }
)


@frozen
class Change:
    """One entry of a replicate's history."""

    status: Status
    by_worker: bool
    details: Details | None
    at: float


@define(eq=False)
class Replicate:
    """One worker's try at one task. *contribution_hash* and *weight*: once CONTRIBUTED."""

    wallet: str
    clock: Clock
    history: list[Change] = field(factory=list)
    contribution_hash: str = ""
    weight: int = 0
    result_link: str = ""
    callback_data: str = ""
    logs: tuple[str, str] | None = None

    @property
    def current(self) -> Status:
        """The last status, whatever it is."""
        return self.history[-1].status

    @property
    def relevant(self) -> Status:
        """The last status that says how far the work is: lost and recovering do not."""
        return next(c.status for c in reversed(self.history) if c.status not in _OBSERVED)

    @property
    def created_at(self) -> float:
        """When the worker was given the task."""
        return self.history[0].at

    def ever(self, status: Status) -> bool:
        """True iff *status* is anywhere in the history."""
        return any(change.status is status for change in self.history)

    def add(self, status: Status, details: Details | None = None, *, by_worker: bool) -> None:
        """Append to the history."""
        self.history.append(Change(status, by_worker, details, self.clock.now()))


@define(eq=False)
class Task:
    """
    One task. Deadlines are seconds since the epoch; *period* is T of its category; *framework* is
    None for a standard task.

    *lock* is held by whoever moves it from state to state.
    """

    chain_task_id: str
    deal: PoolDeal
    index: int
    period: int
    params: Params
    changes: Changes
    clock: Clock
    framework: TeeFramework | None = None
    state: TaskState = TaskState.RECEIVED
    states: list[tuple[TaskState, float]] = field(factory=list)
    replicates: dict[str, Replicate] = field(factory=dict)
    enclave_challenge: str = ZERO_ADDRESS
    sms_url: str | None = None
    consensus: str = ""
    consensus_block: int = 0
    reveal_deadline: int = 0
    lock: trio.Lock = field(factory=trio.Lock)

    @property
    def contribution_deadline(self) -> int:
        """Until when a worker may contribute."""
        return self.deal.start_time + 7 * self.period

    @property
    def final_deadline(self) -> int:
        """Until when the task may be finalised."""
        return self.deal.start_time + 10 * self.period

    @property
    def has_callback(self) -> bool:
        """True iff a contract waits for the result."""
        return self.deal.callback != ZERO_ADDRESS

    @property
    def finalized_by_worker(self) -> bool:
        """True iff its worker contributes and finalises in one transaction."""
        return self.framework is not None and self.deal.trust == 1

    @property
    def entered_at(self) -> float:
        """When the task entered its state."""
        return self.states[-1][1]

    def enter(self, state: TaskState) -> None:
        """Move on to *state*."""
        self.state = state
        self.states.append((state, self.clock.now()))
        log.info("task moves on", task=self.chain_task_id, state=state)
        self.changes.ring()

    @property
    def too_late(self) -> bool:
        """True iff nobody may contribute any more."""
        return self.clock.now() > self.contribution_deadline

    @property
    def over(self) -> bool:
        """True iff nobody may finalise it any more."""
        return self.clock.now() > self.final_deadline

    def now_in(self, *statuses: Status) -> list[Replicate]:
        """The replicates whose current status is one of *statuses*."""
        return [r for r in self.replicates.values() if r.current in statuses]


@define(eq=False)
class Worker:
    """A registered worker. *participating* and *computing* hold task ids, in order."""

    wallet: str
    model: Model
    participating: list[str] = field(factory=list)
    computing: list[str] = field(factory=list)

    @property
    def slots(self) -> int:
        """How many tasks it may compute at a time."""
        return 1 if self.model.gpu_enabled else self.model.cpu_nb

    def free(self, chain_task_id: str) -> None:
        """Give the computing slot of a task back."""
        if chain_task_id in self.computing:
            self.computing.remove(chain_task_id)

    def drop(self, chain_task_id: str) -> None:
        """Have no part in a task any more."""
        self.free(chain_task_id)
        if chain_task_id in self.participating:
            self.participating.remove(chain_task_id)


@define(eq=False)
class Store:
    """All that is kept. *next_block*: from where to look for deals."""

    tasks: dict[str, Task] = field(factory=dict, init=False)
    workers: dict[str, Worker] = field(factory=dict, init=False)
    changes: Changes = field(factory=Changes, init=False)
    clock: Clock = field(factory=Clock)
    next_block: int = 0

    def replicate(self, chain_task_id: str, wallet: str) -> tuple[Task, Replicate] | None:
        """The replicate of that wallet for that task, with its task."""
        task = self.tasks.get(chain_task_id)
        if task is None or wallet not in task.replicates:
            return None
        return task, task.replicates[wallet]

    def in_state(self, *states: TaskState) -> Iterator[Task]:
        """The tasks in one of *states*; they may change while iterating."""
        yield from [task for task in self.tasks.values() if task.state in states]

    def unfinished(self) -> Iterator[Task]:
        """The tasks that have not ended."""
        yield from [task for task in self.tasks.values() if task.state not in ENDED]

    def dismiss(self, task: Task) -> None:
        """Take a task from all workers' lists."""
        for worker in self.workers.values():
            worker.drop(task.chain_task_id)
