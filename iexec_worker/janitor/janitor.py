"""Tidying up, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from attrs import frozen

from iexec_worker.supervise import every

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import trio

    from iexec_worker.engine.images.cache import ImageCache
    from iexec_worker.janitor.leftovers import Leftovers
    from iexec_worker.telemetry.tree import Node

#: Seconds between two looks.
PERIOD: Final = 300.0


@frozen
class Janitor:
    """
    Removes *leftovers* of tasks that do not live, and *images* for which the room is missing.

    Looks every `PERIOD`. *needed* are the images of tasks that live; None: not known yet.

    Not before *recovered*: a pool that still wants a task may have it rebuilt from its folder.
    """

    leftovers: Leftovers
    images: ImageCache
    lives: Callable[[str], bool]
    needed: Callable[[], Collection[str] | None]
    recovered: trio.Event
    node: Node

    async def run(self, *, task_status: trio.TaskStatus[None]) -> NoReturn:
        """Look for ever. Raises `Unavailable` when the engine does not answer."""
        task_status.started()
        self.node.doing = "waiting for the pool's word which tasks of ours it still wants"
        await self.recovered.wait()
        async for _ in every(PERIOD):
            self.node.doing = "looking for what no task of ours knows"
            folders = await self.leftovers.remove_folders(self.lives)
            containers = await self.leftovers.remove_containers(self.lives)
            images = await self.images.tidy(self.needed)
            self.node.doing = (
                f"removed {folders} folders, {containers} containers and {images} images, last time"
            )
        raise AssertionError("every() never ends")
