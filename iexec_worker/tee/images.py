"""The images of pre- and post-compute: the pool's choice, and the worker's own to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.engine.images.local import pull_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.engine.images.cache import ImageCache
    from iexec_worker.engine.images.progress import PullProgress


@frozen
class TeeImages:
    """Images that every task of a framework needs; limits of pulls in seconds, as for apps."""

    cache: ImageCache
    pull_min: float
    pull_max: float

    async def have(self, image: str, time_reference: float, show: Callable[[str], None]) -> None:
        """
        Return when *image* is here, which may be since long; it stays.

        Raises as `ImageCache.pull` does.
        """
        await self.cache.spare(image)
        if await self.cache.find(image) is not None:
            return

        def progress(now: PullProgress) -> None:
            show(f"pulling {image}: {now}")

        limit = pull_limit(time_reference, self.pull_min, self.pull_max)
        await self.cache.pull(image, limit=limit, progress=progress)
