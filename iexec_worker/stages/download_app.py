"""PLEASE_DOWNLOAD_APP: the image, within its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from iexec_worker.engine.images.local import pull_limit
from iexec_worker.errors import Declined, PullFailed, Rejected, StageFailed
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.engine.images.cache import ImageCache
    from iexec_worker.engine.images.progress import PullProgress
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.fallback import Fallback
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class DownloadApp:
    """
    Pulls the app's image; *pull_min* and *pull_max* bound the time, in seconds.

    *count_bytes* is told how many more bytes have arrived.
    """

    conditions: Conditions
    images: ImageCache
    fallback: Fallback
    pull_min: float
    pull_max: float
    count_bytes: Callable[[int], None]

    async def __call__(self, task: Task) -> Details:
        await self.conditions.check(task)
        try:
            if await self.fallback.is_begun(task):
                raise PullFailed("an earlier try has failed, and its error may be stored by now")
            await self._pull(task)
        except Rejected as error:
            cause = Cause.APP_IMAGE_DOWNLOAD_FAILED
            await self.fallback(task, Status.APP_DOWNLOAD_FAILED, cause)
            raise StageFailed(cause, str(error)) from error
        except Declined as error:
            # Others may compute it: to contribute an error would be to lose against them.
            raise StageFailed(Cause.ABORTED_BY_WORKER, str(error)) from error
        return Details()

    async def _pull(self, task: Task) -> None:
        """Succeed iff the image is here in the end, even when the pull itself failed."""
        app = task.description
        if app.app_type.upper() != "DOCKER":
            raise PullFailed(f"the app's type is {app.app_type!r}, only DOCKER can be run")
        limit = pull_limit(app.time_reference, self.pull_min, self.pull_max)

        arrived = 0

        def show(progress: PullProgress) -> None:
            nonlocal arrived
            self.count_bytes(max(progress.current - arrived, 0))
            arrived = max(progress.current, arrived)
            task.node.doing = f"pulling {app.app_uri}: {progress}"

        try:
            await self.images.pull(app.app_uri, limit=limit, progress=show)
        except (PullFailed, Declined) as error:
            if await self.images.find(app.app_uri) is None:
                raise
            log.warning("image not refreshed, the local one is used", reason=str(error))
