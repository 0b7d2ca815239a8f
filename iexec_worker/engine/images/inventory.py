"""Which images this worker pulled, and when each was last used: a small file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import structlog
import trio
from attrs import define, field, frozen

from iexec_worker.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Entry:
    """
    When an image was last *used* (seconds since the epoch), and its *id*.

    An empty id: its first pull was begun, and nobody has seen it end.
    """

    used: float
    id: str


@define(eq=False)
class Inventory:
    """
    Entries by name, or by id for images that have lost theirs, in the file *path*.

    A file that cannot be read or written never stops a task: images that are not remembered are
    never removed, and that is said once.
    """

    path: Path
    entries: dict[str, Entry] = field(init=False, factory=dict)
    _loaded: bool = field(init=False, default=False)
    _complained: bool = field(init=False, default=False)
    _writing: trio.Lock = field(init=False, factory=trio.Lock)

    async def load(self) -> None:
        """Read the file, the first time."""
        if not self._loaded:
            read = await trio.to_thread.run_sync(self._read)
            # Two may have waited for it.
            if not self._loaded:
                self.entries, self._loaded = read, True

    async def set(self, name: str, entry: Entry) -> None:
        """Remember *entry* as that of *name*."""
        self.entries[name] = entry
        await self._save()

    async def drop(self, name: str) -> None:
        """Forget *name*, which need not be known."""
        if self.entries.pop(name, None) is not None:
            await self._save()

    async def _save(self) -> None:
        async with self._writing:
            document = {name: attrs.asdict(entry) for name, entry in self.entries.items()}
            await trio.to_thread.run_sync(self._write, document)

    def _read(self) -> dict[str, Entry]:
        try:
            found = read_json(self.path)
            return {str(k): Entry(float(v["used"]), str(v["id"])) for k, v in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._complain(error)
            return {}

    def _write(self, document: object) -> None:
        try:
            write_json(self.path, document)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            log.warning(
                "images may stay on the engine for ever: their list is not usable",
                file=str(self.path),
                reason=str(error),
            )
        self._complained = True
