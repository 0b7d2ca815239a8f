"""Which status of a replicate may follow which, derived from the pool's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORWARD: Final[Mapping[Status, frozenset[Status]]] = {
    Status.CREATED: frozenset({Status.STARTING}),
    Status.STARTING: frozenset({Status.STARTED, Status.START_FAILED}),
    Status.STARTED: frozenset({Status.APP_DOWNLOADING}),
    Status.APP_DOWNLOADING: frozenset({Status.APP_DOWNLOADED, Status.APP_DOWNLOAD_FAILED}),
    Status.APP_DOWNLOAD_FAILED: frozenset({Status.CONTRIBUTING}),
    Status.APP_DOWNLOADED: frozenset({Status.DATA_DOWNLOADING}),
    Status.DATA_DOWNLOADING: frozenset({Status.DATA_DOWNLOADED, Status.DATA_DOWNLOAD_FAILED}),
    Status.DATA_DOWNLOAD_FAILED: frozenset({Status.CONTRIBUTING}),
    Status.DATA_DOWNLOADED: frozenset({Status.COMPUTING}),
    Status.COMPUTING: frozenset({Status.COMPUTED, Status.COMPUTE_FAILED}),
    Status.COMPUTED: frozenset({Status.CONTRIBUTING, Status.CONTRIBUTE_AND_FINALIZE_ONGOING}),
    Status.CONTRIBUTING: frozenset({Status.CONTRIBUTED, Status.CONTRIBUTE_FAILED}),
    Status.CONTRIBUTED: frozenset({Status.REVEALING}),
    Status.REVEALING: frozenset({Status.REVEALED, Status.REVEAL_FAILED}),
    Status.REVEALED: frozenset({Status.RESULT_UPLOAD_REQUESTED, Status.COMPLETING}),
    Status.RESULT_UPLOAD_REQUESTED: frozenset({Status.RESULT_UPLOADING}),
    Status.RESULT_UPLOADING: frozenset({Status.RESULT_UPLOADED, Status.RESULT_UPLOAD_FAILED}),
    Status.RESULT_UPLOAD_FAILED: frozenset({Status.COMPLETING}),
    Status.RESULT_UPLOADED: frozenset({Status.COMPLETING}),
    Status.CONTRIBUTE_AND_FINALIZE_ONGOING: frozenset(
        {Status.CONTRIBUTE_AND_FINALIZE_DONE, Status.CONTRIBUTE_AND_FINALIZE_FAILED}
    ),
    Status.CONTRIBUTE_AND_FINALIZE_DONE: frozenset({Status.COMPLETING}),
    Status.COMPLETING: frozenset({Status.COMPLETED, Status.COMPLETE_FAILED}),
}

#: The classic way to the end, in order: what the pool fills in when the chain is ahead of it.
CLASSIC: Final = (
    Status.CREATED,
    Status.STARTING,
    Status.STARTED,
    Status.APP_DOWNLOADING,
    Status.APP_DOWNLOADED,
    Status.DATA_DOWNLOADING,
    Status.DATA_DOWNLOADED,
    Status.COMPUTING,
    Status.COMPUTED,
    Status.CONTRIBUTING,
    Status.CONTRIBUTED,
    Status.REVEALING,
    Status.REVEALED,
    Status.RESULT_UPLOAD_REQUESTED,
    Status.RESULT_UPLOADING,
    Status.RESULT_UPLOADED,
    Status.COMPLETING,
    Status.COMPLETED,
)

#: The same where the worker contributes and finalises in one transaction.
AT_ONCE: Final = (
    *CLASSIC[: CLASSIC.index(Status.CONTRIBUTING)],
    Status.CONTRIBUTE_AND_FINALIZE_ONGOING,
    Status.CONTRIBUTE_AND_FINALIZE_DONE,
    Status.COMPLETING,
    Status.COMPLETED,
)

FAILED_BEFORE_COMPUTED: Final = frozenset(
    {
        Status.START_FAILED,
        Status.APP_DOWNLOAD_FAILED,
        Status.DATA_DOWNLOAD_FAILED,
        Status.COMPUTE_FAILED,
    }
)

_RANK: Final = {status: rank for rank, status in enumerate(Status)}
_UNRECOVERABLE: Final = frozenset(
    {
        Status.START_FAILED,
        Status.COMPUTE_FAILED,
        Status.CONTRIBUTE_FAILED,
        Status.REVEAL_FAILED,
        Status.COMPLETE_FAILED,
    }
)
_MAY_FAIL: Final = frozenset(s for s in Status if _RANK[s] <= _RANK[Status.REVEAL_FAILED]) | {
    Status.CONTRIBUTE_AND_FINALIZE_ONGOING,
    Status.CONTRIBUTE_AND_FINALIZE_FAILED,
}


def before(left: Status, right: Status) -> bool:
    """True iff *left* comes before *right* in the order of the statuses."""
    return _RANK[left] < _RANK[right]


def allowed(current: Status, following: Status) -> bool:
    """True iff a replicate may go from *current* to *following*."""
    match current:
        case Status.COMPLETED | Status.FAILED:
            return False
        case Status.ABORTED:
            return following in {Status.COMPLETED, Status.FAILED, Status.WORKER_LOST}
        case Status.WORKER_LOST:
            return following is not Status.WORKER_LOST
        case Status.RECOVERING:
            return following not in {Status.CREATED, Status.STARTING}
    return following in _FORWARD.get(current, frozenset()) or _aside(current, following)


def _aside(current: Status, following: Status) -> bool:
    """What may happen to a replicate at work besides its next step."""
    match following:
        case Status.FAILED:
            return current in _MAY_FAIL
        case Status.RECOVERING:
            return current not in _UNRECOVERABLE
    return following in {Status.ABORTED, Status.WORKER_LOST}


def missing(reached: Status, wanted: Status) -> tuple[Status, ...]:
    """The statuses after *reached* up to and including *wanted*, on the way that has *wanted*."""
    way = CLASSIC if wanted in CLASSIC else AT_ONCE
    start = way.index(reached) + 1 if reached in way else way.index(wanted)
    return way[start : way.index(wanted) + 1]
