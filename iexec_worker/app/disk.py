"""Room for tasks: the engine's layers and the results of strangers fill a disk quietly."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path

_GB = 1024**3


@frozen
class Disk:
    """The disk of *folder*, which need not exist yet; *floor*: bytes that have to be free."""

    folder: Path
    floor: int

    @property
    def trouble(self) -> str:
        """Say that there is too little room; empty when there is enough."""
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free >= self.floor:
            return ""
        return (
            f"the disk of {self.folder} has {free / _GB:.1f} GB free, work is taken from "
            f"{self.floor / _GB:g} GB on (IEXEC_WORKER_MIN_FREE_DISK_GB): make room"
        )
