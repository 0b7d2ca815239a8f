"""Failures of services: in one line for people, and counted while they count."""

from __future__ import annotations

from collections import deque

from attrs import define, field

from iexec_worker.errors import WorkerError
from iexec_worker.supervise.policy import Intensity


class Escalated(WorkerError):
    """Raised when a service failed more often than its intensity allows."""


class ServiceReturnedError(WorkerError):
    """Raised when a permanent service returned although nobody cancelled it."""


class Interrupted(WorkerError):
    """Raised when one life of a service was cut from outside: `Node.interrupt`."""


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


def holds(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """True iff *error* is one of *kinds*, or a group with one of them somewhere in it."""
    if isinstance(error, ExceptionGroup):
        return error.subgroup(kinds) is not None
    return isinstance(error, kinds)


def only_holds(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """True iff *error* is one of *kinds*, or a group of nothing else: a server that goes away."""
    if isinstance(error, ExceptionGroup):
        # A group is an Exception itself, and `split` would hand it out whole.
        return all(only_holds(part, kinds) for part in error.exceptions)
    return isinstance(error, kinds)


@define
class Failures:
    """The failures of one service since its last period of health."""

    intensity: Intensity
    in_a_row: int = 0
    _times: deque[float] = field(factory=deque)

    def add(self, now: float, healthy_for: float, *, counts: bool) -> bool:
        """Take one more; True iff those that count are more than the intensity allows."""
        if healthy_for >= self.intensity.period:
            self.in_a_row = 0
            self._times.clear()
        while self._times and self._times[0] <= now - self.intensity.period:
            self._times.popleft()
        self.in_a_row += 1
        if counts:
            self._times.append(now)
        return self.counted > self.intensity.restarts

    @property
    def counted(self) -> int:
        """How many count now."""
        return len(self._times)
