"""What the exit of a pre- or post-compute means. Sans-IO."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from iexec_worker.errors import StageFailed
from iexec_worker.tee.model import Part
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iexec_worker.engine.state import ContainerExit

#: What the names of the causes of a part begin with.
_PREFIXES: Final[Mapping[Part, str]] = MappingProxyType(
    {Part.PRE: "PRE_COMPUTE", Part.POST: "POST_COMPUTE"}
)

#: The causes that services tell by their exit code; 1 says that it was told in words.
_BY_CODE: Final[Mapping[int, str]] = MappingProxyType(
    {2: "EXIT_REPORTING_FAILED", 3: "TASK_ID_MISSING"}
)

_IN_WORDS: Final = 1


def cause_of(part: Part, what: str) -> Cause:
    """Return the cause of *part* whose name ends with *what*."""
    return Cause(f"{_PREFIXES[part]}_{what}")


def unknown(part: Part, message: str) -> StageFailed:
    """Return the failure of a part that does not say why."""
    return StageFailed(cause_of(part, "FAILED_UNKNOWN_ISSUE"), message)


def failure(
    part: Part, ended: ContainerExit, reported: Sequence[Cause], limit: float
) -> StageFailed | None:
    """
    Return why *part* failed, None when it did not; its *limit* is in seconds.

    The first of the causes that it *reported* counts, for the pool takes one.
    """
    if ended.over_quota:
        return unknown(part, f"{part} was stopped: {ended.over_quota}")
    if ended.timed_out:
        return StageFailed(cause_of(part, "TIMEOUT"), f"{part} was stopped after its {limit:g} s")
    if ended.exit_code == 0:
        return None
    said = f"{part} exited {ended.exit_code}"
    if ended.exit_code == _IN_WORDS and reported:
        return StageFailed(reported[0], f"{said}: {', '.join(reported)}")
    if ended.exit_code in _BY_CODE:
        return StageFailed(cause_of(part, _BY_CODE[ended.exit_code]), said)
    return unknown(part, f"{said} and did not say why")
