"""How long the stages of computations took: sliding windows over the last runs."""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Collection


@frozen
class Stats:
    """Figures of a window in ms; NaN, with a *count* of 0, while it is empty."""

    minimum: float
    maximum: float
    average: float
    count: int

    @classmethod
    def of(cls, runs: Collection[float]) -> Stats:
        """Return the figures of *runs*."""
        if not runs:
            return cls(math.nan, math.nan, math.nan, 0)
        return cls(min(runs), max(runs), fmean(runs), len(runs))


class Window:
    """The durations of the last *size* runs, failed and timed-out ones too."""

    def __init__(self, size: int) -> None:
        self._runs: deque[float] = deque(maxlen=size)

    def add(self, ms: float) -> None:
        """Count one run; the oldest leaves a full window."""
        self._runs.append(ms)

    def stats(self) -> Stats:
        """Return the figures of now."""
        return Stats.of(self._runs)


class Durations:
    """
    The windows of pre-, app and post-compute, and of whole TEE computations.

    Compute takes a `task()` and tells that one; only it can say which runs belong together.
    """

    def __init__(self, window: int) -> None:
        self.pre = Window(window)
        self.app = Window(window)
        self.post = Window(window)
        self.complete = Window(window)

    def task(self) -> TaskDurations:
        """Return a recorder for one computation of one task."""
        return TaskDurations(self)


@define
class TaskDurations:
    """
    The durations of one computation, in ms, in the order in which its stages ran.

    It is complete with its post-compute: app + post, + pre when there was one. A standard
    task has no post-compute, so it never is; neither is one whose app ran before a restart.
    """

    _durations: Durations
    _pre: float = field(default=0.0, init=False)
    _app: float | None = field(default=None, init=False)

    def pre(self, ms: float) -> None:
        """Count a run of pre-compute."""
        self._durations.pre.add(ms)
        self._pre = ms

    def app(self, ms: float) -> None:
        """Count a run of the app."""
        self._durations.app.add(ms)
        self._app = ms

    def post(self, ms: float) -> None:
        """Count a run of a TEE task's post-compute, and with it the whole computation."""
        self._durations.post.add(ms)
        if self._app is not None:
            self._durations.complete.add(self._pre + self._app + ms)
