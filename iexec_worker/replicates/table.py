"""The life of a replicate as data: what is told before, after and instead of each step."""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.model import StatusUpdate, TaskDescription
    from iexec_worker.stages.task import Task


class Until(enum.Enum):
    """The deadline up to which a step that could not be tried is tried again."""

    CONTRIBUTION = "contribution"
    FINAL = "final"


@frozen
class Row:
    """
    One step: its statuses, its deadline, and the cause when its services stay away.

    *is_urgent*: the chain does not wait, so that it is done also while the pool is away.
    """

    ongoing: Status
    done: Status
    failed: Status
    until: Until = Until.CONTRIBUTION
    unreachable: Cause = Cause.CHAIN_UNREACHABLE
    is_urgent: bool = False


ROWS: Final[Mapping[Action, Row]] = MappingProxyType(
    {
        Action.PLEASE_START: Row(Status.STARTING, Status.STARTED, Status.START_FAILED),
        Action.PLEASE_DOWNLOAD_APP: Row(
            Status.APP_DOWNLOADING,
            Status.APP_DOWNLOADED,
            Status.APP_DOWNLOAD_FAILED,
            unreachable=Cause.APP_IMAGE_DOWNLOAD_FAILED,
        ),
        Action.PLEASE_DOWNLOAD_DATA: Row(
            Status.DATA_DOWNLOADING, Status.DATA_DOWNLOADED, Status.DATA_DOWNLOAD_FAILED
        ),
        Action.PLEASE_COMPUTE: Row(
            Status.COMPUTING,
            Status.COMPUTED,
            Status.COMPUTE_FAILED,
            unreachable=Cause.APP_COMPUTE_FAILED,
        ),
        Action.PLEASE_CONTRIBUTE: Row(
            Status.CONTRIBUTING, Status.CONTRIBUTED, Status.CONTRIBUTE_FAILED
        ),
        Action.PLEASE_REVEAL: Row(
            Status.REVEALING,
            Status.REVEALED,
            Status.REVEAL_FAILED,
            Until.FINAL,
            is_urgent=True,
        ),
        Action.PLEASE_UPLOAD: Row(
            Status.RESULT_UPLOADING,
            Status.RESULT_UPLOADED,
            Status.RESULT_UPLOAD_FAILED,
            Until.FINAL,
            Cause.RESULT_LINK_MISSING,
        ),
        Action.PLEASE_CONTRIBUTE_AND_FINALIZE: Row(
            Status.CONTRIBUTE_AND_FINALIZE_ONGOING,
            Status.CONTRIBUTE_AND_FINALIZE_DONE,
            Status.CONTRIBUTE_AND_FINALIZE_FAILED,
        ),
        Action.PLEASE_COMPLETE: Row(
            Status.COMPLETING, Status.COMPLETED, Status.COMPLETE_FAILED, Until.FINAL
        ),
    }
)

#: Steps that need a compute slot, in their order; after them, or a failure, it is free again.
COMPUTING: Final = (
    Action.PLEASE_START,
    Action.PLEASE_DOWNLOAD_APP,
    Action.PLEASE_DOWNLOAD_DATA,
    Action.PLEASE_COMPUTE,
)

#: Steps that send a transaction.
ON_CHAIN: Final = frozenset(
    {
        Action.PLEASE_CONTRIBUTE,
        Action.PLEASE_REVEAL,
        Action.PLEASE_CONTRIBUTE_AND_FINALIZE,
    }
)

_AFTER: Final[Mapping[Status, Action]] = MappingProxyType(
    {
        Status.STARTED: Action.PLEASE_DOWNLOAD_APP,
        Status.APP_DOWNLOADED: Action.PLEASE_DOWNLOAD_DATA,
        Status.DATA_DOWNLOADED: Action.PLEASE_COMPUTE,
        Status.START_FAILED: Action.PLEASE_ABORT,
        Status.COMPUTE_FAILED: Action.PLEASE_ABORT,
        Status.CONTRIBUTE_FAILED: Action.PLEASE_ABORT,
        Status.REVEAL_FAILED: Action.PLEASE_ABORT,
        Status.RESULT_UPLOAD_FAILED: Action.PLEASE_ABORT,
        Status.CONTRIBUTE_AND_FINALIZE_FAILED: Action.PLEASE_ABORT,
        Status.COMPLETE_FAILED: Action.PLEASE_ABORT,
    }
)

#: Failed downloads whose error result is contributed; with any other cause the pool aborts.
_CONTRIBUTED_ERRORS: Final[Mapping[Status, frozenset[Cause]]] = MappingProxyType(
    {
        Status.APP_DOWNLOAD_FAILED: frozenset({Cause.APP_IMAGE_DOWNLOAD_FAILED}),
        Status.DATA_DOWNLOAD_FAILED: frozenset(
            {
                Cause.DATASET_FILE_DOWNLOAD_FAILED,
                Cause.DATASET_FILE_BAD_CHECKSUM,
                Cause.INPUT_FILES_DOWNLOAD_FAILED,
            }
        ),
    }
)


def next_action(update: StatusUpdate, task: TaskDescription) -> Action | None:
    """
    What the pool answers when *update* is new to it ; None: wait.

    Needed because it answers PLEASE_WAIT to what it has already heard.
    """
    if update.status is Status.COMPUTED:
        ours = task.is_finalized_by_us
        return Action.PLEASE_CONTRIBUTE_AND_FINALIZE if ours else Action.PLEASE_CONTRIBUTE
    contributed = _CONTRIBUTED_ERRORS.get(update.status)
    if contributed is not None:
        return Action.PLEASE_CONTRIBUTE if update.cause in contributed else Action.PLEASE_ABORT
    return _AFTER.get(update.status)


def caught_up(action: Action, task: Task) -> Action:
    """
    The step that is next when the pool asks for *action* without knowing how far we have come.

    Its recovery says PLEASE_CONTRIBUTE for every task whose contribution it has not heard of,
    and for every trusted one.
    """
    record = task.record
    if action is not Action.PLEASE_CONTRIBUTE:
        return action
    if record.computed is None:
        return next((step for step in COMPUTING if ROWS[step].done not in record.told), action)
    if task.description.is_finalized_by_us and not _CONTRIBUTED_ERRORS.keys() & set(record.told):
        return Action.PLEASE_CONTRIBUTE_AND_FINALIZE
    return action
