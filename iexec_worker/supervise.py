"""
Supervision: a restart policy wrapped round one service.

A service is `async def run(*, task_status)`: it calls `started` when it is really ready, loops,
and leaves its errors to whoever supervises it. The names are Erlang/OTP's. One-for-one is this
module; rest-for-one is nesting nurseries; escalation is the exception that leaves the nursery.
"""

from __future__ import annotations

import enum
import math
import random
from collections import deque
from typing import Any, Protocol, Self

import structlog
import trio
from attrs import define, field, frozen

from iexec_worker.errors import Fatal, WorkerError
from iexec_worker.telemetry.tree import Node, State

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Service(Protocol):
    """What can be supervised."""

    async def __call__(self, *, task_status: trio.TaskStatus[Any]) -> None: ...


class Restart(enum.Enum):
    """When a service that ended is started again."""

    PERMANENT = "always; returning is a failure"
    TRANSIENT = "after an error; returning is fine"
    TEMPORARY = "never; an error is logged"


@frozen
class Intensity:
    """
    How many failures within *period* seconds are borne; one more escalates.

    *restarts* None: any number. The budget is full again after *period* seconds of health.
    """

    restarts: int | None = 3
    period: float = 60.0


@frozen
class Backoff:
    """Seconds before the n-th restart in a row: *first* doubled n times, at most *limit*."""

    first: float = 0.5
    limit: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after *failures* ≥ 1 in a row; half of it is jitter."""
        full = min(self.limit, self.first * 2.0 ** min(failures - 1, 32))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards no secret


@frozen
class Policy:
    """How one service is supervised. Errors of the types in *through* are for the parent."""

    restart: Restart = Restart.PERMANENT
    intensity: Intensity = Intensity()
    backoff: Backoff = Backoff()
    through: tuple[type[WorkerError], ...] = (Fatal,)


#: For what depends on others: they may be away for days, and giving up helps nobody.
FOREVER = Policy(intensity=Intensity(restarts=None))


class Escalated(WorkerError):
    """Raised when a service failed more often than its intensity allows."""


class ServiceReturnedError(WorkerError):
    """Raised when a permanent service returned although nobody cancelled it."""


class Interrupted(WorkerError):
    """Raised when one life of a service was cut from outside: `Node.interrupt`."""


@define
class _Failures:
    """The failures that still count: those since the last *period* of health."""

    intensity: Intensity
    times: deque[float] = field(factory=deque)
    in_a_row: int = 0

    def add(self, now: float, ran_for: float) -> bool:
        """Count one more; True iff that is more than the intensity allows."""
        period = self.intensity.period
        if ran_for >= period:
            self.in_a_row = 0
            self.times.clear()
        while self.times and self.times[0] <= now - period:
            self.times.popleft()
        self.in_a_row += 1
        self.times.append(now)
        return self.intensity.restarts is not None and len(self.times) > self.intensity.restarts


@define
class _Ready(trio.TaskStatus[Any]):
    """Marks the node as running; passes `started` on the first time only."""

    node: Node
    outer: trio.TaskStatus[Any] | None

    def started(self, value: Any = None) -> None:  # noqa: ANN401 - Trio's own signature
        self.node.enter(State.RUNNING)
        if self.outer is not None:
            self.outer.started(value)
            self.outer = None


def only(error: BaseException) -> BaseException:
    """Strip groups of one: what a nursery inside a service wrapped round its only error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def describe(error: BaseException) -> str:
    """Say in one line what went wrong; errors of ours speak for themselves."""
    error = only(error)
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(part) for part in error.exceptions)
    text = " ".join(str(error).split())
    return text if isinstance(error, WorkerError) else f"{type(error).__name__}: {text}"


def _holds(error: BaseException, kind: tuple[type[WorkerError], ...]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(kind) is not None
    return isinstance(error, kind)


def _only_holds(error: BaseException, kind: type[WorkerError]) -> bool:
    """True iff *error* is one of *kind*, or a group of nothing else: a server that goes away."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(kind)[1] is None
    return isinstance(error, kind)


async def supervise(
    service: Service,
    node: Node,
    policy: Policy = Policy(),
    *,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Run *service* and start it again as *policy* says; *node* shows what happens.

    Passes the first run's `started` on. Raises errors that the policy lets through (`Fatal`), and
    `Escalated` when the intensity is exceeded. Cancellation ends it like any other code.
    """
    failures = _Failures(policy.intensity)
    ready = _Ready(node, task_status)
    try:
        while True:
            node.enter(State.STARTING)
            began = trio.current_time()
            try:
                await _live(service, node, ready)
                if policy.restart is not Restart.PERMANENT:
                    return
                raise ServiceReturnedError(f"{node.name} returned although nobody cancelled it")  # noqa: TRY301 - handled like any failure
            except Exception as error:
                now = trio.current_time()
                too_many = failures.add(now, now - began)
                _record(node, error)
                if _holds(error, policy.through):
                    raise
                if policy.restart is Restart.TEMPORARY:
                    return
                if too_many:
                    raise Escalated(
                        f"{node.name} failed {len(failures.times)} times within "
                        f"{policy.intensity.period:g} s; the last time: {node.last_error}"
                    ) from error
            await _pause(node, policy.backoff.delay(failures.in_a_row))
    finally:
        node.enter(State.STOPPED)


async def _live(service: Service, node: Node, ready: _Ready) -> None:
    """Run *service* once; raises `Interrupted` when somebody cut it short through *node*."""
    with trio.CancelScope() as scope, node.living(scope):
        await service(task_status=ready)
    if scope.cancelled_caught:
        raise Interrupted("interrupted")


def _record(node: Node, error: Exception) -> None:
    """Write a failure where people look: the tree and the log."""
    node.last_error = describe(error)
    expected = _only_holds(error, WorkerError)
    level = log.warning if expected else log.error
    # The traceback is for bugs only: a scheduler that is away is no reason for forty lines.
    level("failed", part=node.name, reason=node.last_error, exc_info=None if expected else error)


async def _pause(node: Node, seconds: float) -> None:
    node.enter(State.BACKOFF)
    node.doing = f"starting again in {seconds:.1f} s after: {node.last_error}"
    await trio.sleep(seconds)
    node.restarts += 1
    node.doing = ""


class every:  # noqa: N801 - reads as a word: `async for _ in every(10)`
    """
    Tick at once and then every *period* seconds without drift; missed ticks are not made up.

    A class, because a generator that is left early has to be closed by somebody.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._due = -math.inf

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> None:
        now = trio.current_time()
        self._due = max(self._due + self._period, now)
        await trio.sleep_until(self._due)
