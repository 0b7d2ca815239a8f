"""Containers and folders of ours that belong to no task of ours any more."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.engine import labels
from iexec_worker.files import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.state import FoundContainer

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A folder that is being removed bears another name than its task, which may be offered meanwhile.
_REMOVING: Final = ".removing"
_FOLDER: Final = re.compile(rf"(0x[0-9a-f]{{64}})(?:{re.escape(_REMOVING)})?")

_JOURNAL: Final = "journal.json"

#: A journal that could not be read. What it held may be found in its folder, as long as that lasts:
_SET_ASIDE: Final = "journal.unreadable"

#: Seconds. A task is over for good ten times its category's time after its deal; this is longer
#: than that of the longest category, of ten hours.
SET_ASIDE_KEPT: Final = 7 * 86_400.0


@define(eq=False)
class Leftovers:
    """
    Looks below *base*, the worker's own folder, and for containers labelled with *wallet* and with
    a task or a service.

    Both removals are given *lives*, which knows the tasks that are ours now. *shared* has the names
    of containers of this life that serve all tasks, from before they are made.
    """

    base: Path
    containers: Containers
    wallet: str
    shared: Callable[[], Collection[str]] = tuple
    #: Folders that could not be removed: one line about each is enough.
    _stuck: set[Path] = field(init=False, factory=set)

    async def remove_folders(self, lives: Callable[[str], bool]) -> int:
        """Remove tasks' folders without a journal; says how many. Nothing else is touched."""
        removed = 0
        for folder in await trio.to_thread.run_sync(self._orphans):
            # In one breath: a task that begins after the question finds no folder, and makes one.
            if lives(folder.name.removesuffix(_REMOVING)):
                continue
            doomed = self._rename(folder)
            if doomed is not None:
                removed += await self._remove(doomed)
        return removed

    async def remove_containers(self, lives: Callable[[str], bool]) -> int:
        """
        Remove our containers that nobody needs; says how many. Raises `Unavailable`.

        One that names neither task nor service is somebody else's, whatever wallet it bears.
        """
        found = await self.containers.list_ours({labels.WALLET: self.wallet})
        # Asked after what is there: whatever was made meanwhile is not in the list.
        shared = self.shared()
        orphans = [one for one in found if _is_orphan(one, shared, lives)]
        for orphan in orphans:
            log.info("removing a container that no journal knows", container=orphan.name)
            await self.containers.remove(orphan.id)
        return len(orphans)

    def _orphans(self) -> list[Path]:
        if not self.base.is_dir():
            return []
        return [
            folder
            for folder in self.base.iterdir()
            if _FOLDER.fullmatch(folder.name)
            and folder.is_dir()
            and not folder.is_symlink()
            and not _is_known(folder)
        ]

    def _rename(self, folder: Path) -> Path | None:
        if folder.name.endswith(_REMOVING):
            return folder
        try:
            return folder.rename(folder.with_name(folder.name + _REMOVING))
        except OSError as error:
            self._complain(folder, str(error))
            return None

    async def _remove(self, folder: Path) -> bool:
        if folder not in self._stuck:
            log.info("removing a folder that no journal knows", folder=str(folder))
        await trio.to_thread.run_sync(remove, folder)
        if await trio.Path(folder).exists():
            self._complain(folder, "files in it are another user's")
            return False
        self._stuck.discard(folder)
        return True

    def _complain(self, folder: Path, reason: str) -> None:
        if folder not in self._stuck:
            log.warning(
                "a folder cannot be removed: remove it by hand", folder=str(folder), reason=reason
            )
        self._stuck.add(folder)


def _is_orphan(
    found: FoundContainer, shared: Collection[str], lives: Callable[[str], bool]
) -> bool:
    if task := found.labels.get(labels.TASK):
        return not lives(task)
    return labels.SERVICE in found.labels and found.name not in shared


def _is_known(folder: Path) -> bool:
    """True while a journal is there, or one that was set aside and may be of use."""
    if folder.name.endswith(_REMOVING):
        return False
    if (folder / _JOURNAL).exists():
        return True
    try:
        return time.time() - (folder / _SET_ASIDE).stat().st_mtime < SET_ASIDE_KEPT
    except FileNotFoundError:
        return False
