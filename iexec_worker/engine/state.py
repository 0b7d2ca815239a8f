"""What the engine knows of a container, read from its JSON. Sans-IO."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_EXIT_CODE: Final = -1
"""What the pool is told when the app did not end by itself."""


@frozen
class ContainerExit:
    """
    How a container ended. Times are the engine's, seconds since the epoch; *duration* in ms.

    *exit_code* is -1 when it was stopped for its time limit (*timed_out*). *oom_killed*: a process
    of it was killed because its memory was used up. *over_quota*: why it was stopped for what it
    wrote, empty when it was not.
    """

    exit_code: int
    started_at: float
    finished_at: float
    duration: float
    oom_killed: bool
    timed_out: bool
    over_quota: str = ""


@frozen
class FoundContainer:
    """
    A container that is there. *state* is the engine's word ("created", "running", "exited", …),
    *started_at* seconds since the epoch, before it for one that never ran.
    """

    id: str
    name: str
    image: str
    state: str
    started_at: float
    labels: Mapping[str, str]

    @property
    def running(self) -> bool:
        """True iff it has started and not ended yet."""
        return self.state in {"running", "paused", "restarting"}


def read_exit(inspected: Mapping[str, Any], *, timed_out: bool) -> ContainerExit:
    """Read the end of a stopped container from its inspection."""
    state = inspected["State"]
    started, finished = _seconds(state["StartedAt"]), _seconds(state["FinishedAt"])
    return ContainerExit(
        exit_code=NO_EXIT_CODE if timed_out else int(state["ExitCode"]),
        started_at=started,
        finished_at=finished,
        # The engine's clock may be set back while a container runs.
        duration=max(0.0, (finished - started) * 1000),
        oom_killed=bool(state["OOMKilled"]),
        timed_out=timed_out,
    )


def time_left(inspected: Mapping[str, Any], limit: float, *, now: float) -> float:
    """
    Seconds until a container has run for *limit*, at most all of them, at least none.

    *now* is by the worker's clock, which is the engine's: they share files, so a machine. One that
    ran before and has ended has all of it left.
    """
    if inspected["State"]["Status"] == "exited":
        return limit
    gone = now - _seconds(inspected["State"]["StartedAt"])
    return limit - min(max(gone, 0.0), limit)


def read_found(inspected: Mapping[str, Any]) -> FoundContainer:
    """Read a container from its inspection."""
    return FoundContainer(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        image=inspected["Config"]["Image"],
        state=inspected["State"]["Status"],
        started_at=_seconds(inspected["State"]["StartedAt"]),
        labels=inspected["Config"]["Labels"] or {},
    )


def _seconds(text: str) -> float:
    """Of a time in RFC 3339; the year 1, which stands for "never", is far below zero."""
    return datetime.fromisoformat(text).timestamp()
