"""What came of an app: what the pool is told, and its developer, who sees no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from attrs import frozen

from iexec_worker.engine.logs import LOG_TAIL
from iexec_worker.errors import StageFailed
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.model import ComputeLogs
    from iexec_worker.stages.running.container import Ran

#: Ends that an app's developer cannot tell from its exit code.
LIMITS: Final = frozenset({"oom", "quota"})


@frozen
class AppEnd:
    """*word* is for metrics and people, *failure* None when the app succeeded."""

    word: str
    exit_code: int
    logs: ComputeLogs
    failure: StageFailed | None

    @property
    def limited(self) -> bool:
        """True iff a limit of this machine ended it."""
        return self.word in LIMITS


def app_end(ran: Ran, time_limit: float, memory_limit: Callable[[], str]) -> AppEnd:
    """Judge how an app with these limits (seconds; in words) ended."""
    word, logs = _word(ran.ended), ran.logs
    failure = _failure(ran.ended, word, time_limit, memory_limit)
    if word in LIMITS:
        logs = attrs.evolve(logs, stderr=_added(logs.stderr, str(failure)))
    return AppEnd(word, ran.ended.exit_code, logs, failure)


def _word(ended: ContainerExit) -> str:
    if ended.over_quota:
        return "quota"
    if ended.timed_out:
        return "timeout"
    if ended.exit_code == 0:
        return "success"
    return "oom" if ended.oom_killed else "failure"


def _failure(
    ended: ContainerExit, word: str, time_limit: float, memory_limit: Callable[[], str]
) -> StageFailed | None:
    failed = Cause.APP_COMPUTE_FAILED
    match word:
        case "quota":
            return StageFailed(
                failed,
                f"the app was stopped: {ended.over_quota} (IEXEC_WORKER_TASK_MAX_DISK_GB)",
            )
        case "oom":
            return StageFailed(
                failed,
                f"the app exited {ended.exit_code}: memory used up, it has "
                f"{memory_limit()} (IEXEC_WORKER_TASK_MEMORY_PERCENT)",
            )
        case "timeout":
            return StageFailed(Cause.APP_COMPUTE_TIMEOUT, f"stopped after its {time_limit:g} s")
        case "failure":
            return StageFailed(failed, f"the app exited {ended.exit_code}")
    return None


def _added(stderr: str, line: str) -> str:
    """Put *line* after what an app printed, within what the pool takes."""
    return f"{stderr[len(line) + 1 - LOG_TAIL :]}\n{line}" if stderr else line
