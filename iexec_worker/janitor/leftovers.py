"""Containers and folders of ours that belong to no task of ours any more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.engine import labels
from iexec_worker.stages.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.engine.containers import Containers

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_TASK_ID: Final = re.compile(r"0x[0-9a-f]{64}")

#: What a journal leaves that could not be read; a person may want to look at it.
_KEPT: Final = ("journal.json", "journal.unreadable")


@frozen
class Leftovers:
    """Looks below *base*, the worker's own folder, and for containers labelled with *wallet*."""

    base: Path
    containers: Containers
    wallet: str

    async def remove_folders(self) -> None:
        """Remove tasks' folders without a journal. Nothing else in *base* is touched."""
        for folder in await trio.to_thread.run_sync(self._orphans):
            log.info("removing a folder that no journal knows", folder=str(folder))
            await trio.to_thread.run_sync(remove, folder)

    async def remove_containers(self, lives: Callable[[str], bool]) -> None:
        """Remove our containers whose task does not live. Raises `Unavailable`."""
        for found in await self.containers.list_ours({labels.WALLET: self.wallet}):
            if not lives(found.labels.get(labels.TASK, "")):
                log.info("removing a container that no journal knows", container=found.name)
                await self.containers.remove(found.id)

    def _orphans(self) -> list[Path]:
        self.base.mkdir(parents=True, exist_ok=True)
        return [
            folder
            for folder in self.base.iterdir()
            if _TASK_ID.fullmatch(folder.name)
            and not folder.is_symlink()
            and not any((folder / name).exists() for name in _KEPT)
        ]
