"""The error result: what is contributed when the app could not even run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import frozen

from iexec_worker.errors import StageFailed
from iexec_worker.results import error_result
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from iexec_worker.stages.post_compute import PostCompute
    from iexec_worker.stages.task import Task
    from iexec_worker.stages.trusted.services import TrustedServices
    from iexec_worker.telemetry.durations import Durations


@frozen
class Fallback:
    """
    Writes the error into `iexec_out` and prepares it like any result.

    *services* do that for trusted tasks: without its enclave's signature nothing is contributed.
    """

    post_compute: PostCompute
    pool_version: str
    services: TrustedServices
    durations: Durations

    async def is_begun(self, task: Task) -> bool:
        """
        True iff a trusted task is already to end with its error.

        A next life must not end it with anything else: the error may be stored, for good.
        """
        if task.description.tee_framework is None:
            return False
        return await trio.to_thread.run_sync(error_result.is_there, task.folder.iexec_out)

    async def __call__(self, task: Task, failed: Status, cause: Cause) -> None:
        """
        Make the result that says *failed* because of *cause*.

        Raises `StageFailed(POST_COMPUTE_FAILED_UNKNOWN_ISSUE)` when even that fails.
        """
        try:
            if task.description.has_callback:
                raise StageFailed(cause, "a callback has no error result")  # noqa: TRY301 - as any failure below
            await trio.to_thread.run_sync(
                error_result.write, task.folder.iexec_out, failed, cause, self.pool_version
            )
            if task.description.tee_framework is None:
                await self.post_compute(task)
            else:
                await self.services.post(task, self.durations.task())
        except (StageFailed, OSError) as error:
            raise StageFailed(
                Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE,
                f"{failed} ({cause}), and no error result could be made: {error}",
            ) from error
