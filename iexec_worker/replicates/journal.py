"""The journal: one JSON document per replicate, in its folder, written whole or not at all."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.stages.removal import remove
from iexec_worker.stages.task import Folder, Record
from iexec_worker.wire import converter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Raised when the document's meaning changes; a newer one than ours is set aside unread.
VERSION: Final = 1


@frozen
class Journal:
    """The records below *base*, the worker's own folder."""

    base: Path

    def folder(self, task_id: str) -> Folder:
        """The places of the task with this id."""
        return Folder(self.base / task_id)

    async def save(self, record: Record) -> None:
        """
        Make *record* durable before returning. Raises `OSError` (disk full).

        Cancellation waits for the write: a document is either the old one or the new one.
        """
        folder = self.folder(record.authorization.chain_task_id)
        text = json.dumps({"version": VERSION, "record": converter().unstructure(record)})
        await trio.to_thread.run_sync(_write, folder.journal, text)

    async def load(self) -> list[Record]:
        """Read every record; what cannot be read is set aside with a word why."""
        return await trio.to_thread.run_sync(lambda: list(self._load()))

    async def forget(self, task_id: str) -> None:
        """Remove everything about a task."""
        await trio.to_thread.run_sync(remove, self.folder(task_id).root)

    def _load(self) -> Iterator[Record]:
        self.base.mkdir(parents=True, exist_ok=True)
        for root in sorted(self.base.iterdir()):
            path = Folder(root).journal
            if not path.exists():
                continue
            try:
                yield _read(path)
            except (OSError, ValueError, ExceptionGroup, KeyError, TypeError) as error:
                aside = path.with_suffix(".unreadable")
                log.warning("journal set aside", path=str(aside), reason=repr(error))
                path.replace(aside)


def _read(path: Path) -> Record:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if document["version"] > VERSION:
        raise ValueError(f"written by a newer version ({document['version']} > {VERSION})")
    return converter().structure(document["record"], Record)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    # The rename itself must survive a power cut, too.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
