"""What the scheduler answers to a status it has recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.devpool.scheduler.messages import Update
    from iexec_worker.devpool.scheduler.state import Task

_NEXT: Final[Mapping[Status, Action]] = {
    Status.STARTING: Action.PLEASE_CONTINUE,
    Status.STARTED: Action.PLEASE_DOWNLOAD_APP,
    Status.START_FAILED: Action.PLEASE_ABORT,
    Status.APP_DOWNLOADING: Action.PLEASE_CONTINUE,
    Status.APP_DOWNLOADED: Action.PLEASE_DOWNLOAD_DATA,
    Status.DATA_DOWNLOADING: Action.PLEASE_CONTINUE,
    Status.DATA_DOWNLOADED: Action.PLEASE_COMPUTE,
    Status.COMPUTING: Action.PLEASE_CONTINUE,
    Status.COMPUTE_FAILED: Action.PLEASE_ABORT,
    Status.CONTRIBUTING: Action.PLEASE_CONTINUE,
    Status.CONTRIBUTED: Action.PLEASE_WAIT,
    Status.REVEALING: Action.PLEASE_CONTINUE,
    Status.REVEALED: Action.PLEASE_WAIT,
    Status.RESULT_UPLOADING: Action.PLEASE_CONTINUE,
    Status.RESULT_UPLOADED: Action.PLEASE_WAIT,
    Status.RESULT_UPLOAD_FAILED: Action.PLEASE_ABORT,
    Status.CONTRIBUTE_AND_FINALIZE_ONGOING: Action.PLEASE_CONTINUE,
    Status.CONTRIBUTE_AND_FINALIZE_DONE: Action.PLEASE_WAIT,
    Status.CONTRIBUTE_AND_FINALIZE_FAILED: Action.PLEASE_ABORT,
    Status.COMPLETING: Action.PLEASE_CONTINUE,
    Status.COMPLETED: Action.PLEASE_WAIT,
    Status.COMPLETE_FAILED: Action.PLEASE_ABORT,
}

#: After these failures the error itself becomes the result.
_CONTRIBUTED_AS_ERROR: Final = {
    Status.APP_DOWNLOAD_FAILED: frozenset({Cause.APP_IMAGE_DOWNLOAD_FAILED}),
    Status.DATA_DOWNLOAD_FAILED: frozenset(
        {
            Cause.DATASET_FILE_DOWNLOAD_FAILED,
            Cause.DATASET_FILE_BAD_CHECKSUM,
            Cause.INPUT_FILES_DOWNLOAD_FAILED,
        }
    ),
}


def next_action(task: Task, update: Update) -> Action | None:
    """The action that follows *update*; None when the scheduler has nothing to say."""
    if update.status is Status.COMPUTED:
        return _after_computed(task)
    if causes := _CONTRIBUTED_AS_ERROR.get(update.status):
        as_error = update.details.cause in causes
        return Action.PLEASE_CONTRIBUTE if as_error else Action.PLEASE_ABORT
    return _NEXT.get(update.status)


def _after_computed(task: Task) -> Action:
    if task.finalized_by_worker:
        return Action.PLEASE_CONTRIBUTE_AND_FINALIZE
    return Action.PLEASE_CONTRIBUTE
