"""An app's run, and the result that is made of what it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from iexec_worker.engine.state import NO_EXIT_CODE
from iexec_worker.errors import EngineRefused, StageFailed
from iexec_worker.stages.running.app_end import app_end
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.engine.images.local import Images
    from iexec_worker.stages.running.app_end import AppEnd
    from iexec_worker.stages.running.container import Ran, Run, Running
    from iexec_worker.stages.running.developer_log import DeveloperLog
    from iexec_worker.stages.task import Task
    from iexec_worker.telemetry.durations import TaskDurations

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class AppRun:
    """Runs apps of all tasks; *count* is told how each ended."""

    images: Images
    running: Running
    developer_log: DeveloperLog
    count: Callable[[str], None]

    async def require(self, task: Task) -> None:
        """Raise `StageFailed` unless the app's image is here."""
        if await self.images.find(task.description.app_uri) is None:
            raise StageFailed(Cause.APP_NOT_FOUND_LOCALLY, f"{task.description.app_uri} is gone")

    async def __call__(
        self,
        task: Task,
        run: Run,
        durations: TaskDurations,
        post_compute: Callable[[Task], Awaitable[None]],
    ) -> Details:
        """
        Have the app run, then *post_compute*, which raises `StageFailed` when there is no result.

        The first that failed is the cause, and none when there is a result all the same.
        """
        task.node.doing = f"computing {task.description.app_uri}"
        try:
            async with self.running.to_end(task, run) as ran:
                end = self._ended(task, ran, durations)
                await _make_result(task, end, post_compute)
        except EngineRefused as error:
            raise StageFailed(
                Cause.APP_COMPUTE_FAILED, str(error), exit_code=NO_EXIT_CODE, stderr=str(error)
            ) from error
        return Details(exit_code=end.exit_code, compute_logs=end.logs)

    def _ended(self, task: Task, ran: Ran, durations: TaskDurations) -> AppEnd:
        durations.app(ran.ended.duration)
        self.developer_log(task, ran.ended, ran.logs)
        memory_limit = self.running.sandbox.memory_limit
        end = app_end(ran, task.description.time_reference, memory_limit)
        self.count(end.word)
        if end.limited:
            log.warning("app stopped", task=task.id, reason=end.word, detail=str(end.failure))
        return end


async def _make_result(
    task: Task, end: AppEnd, post_compute: Callable[[Task], Awaitable[None]]
) -> None:
    try:
        if end.word == "quota" and end.failure:
            # It would be read and packed, as much of it as there is.
            raise end.failure
        # Also after a failure: an app that wrote a valid result before it exited 3 has one.
        await post_compute(task)
    except StageFailed as error:
        first = end.failure or error
        raise StageFailed(
            first.cause,
            first.message,
            exit_code=end.exit_code,
            stdout=end.logs.stdout,
            stderr=end.logs.stderr,
        ) from error
