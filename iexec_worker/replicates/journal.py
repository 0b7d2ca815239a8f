"""The journal: one JSON document per replicate, in its folder, written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.files import remove
from iexec_worker.stages.task import Folder, Record
from iexec_worker.supervise import Backoff
from iexec_worker.wire import Action, converter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Raised when the document's meaning changes; a newer one than ours is set aside unread.
VERSION: Final = 1

#: Many times the largest document, which holds the end of what an app printed.
MAX_BYTES: Final = 16 * 1024**2

#: Between two tries to write on a full disk.
WRITING: Final = Backoff(first=0.5, limit=5.0)

#: Seconds that a reveal waits for the disk.
REVEAL_PATIENCE: Final = 60.0

#: What a document may fail with that somebody else wrote, or only half.
_UNREADABLE: Final = (OSError, ValueError, ExceptionGroup, KeyError, TypeError, RecursionError)

_TASK_ID: Final = re.compile(r"0x[0-9a-f]{64}")


@define(eq=False)
class Journal:
    """The records below *base*, the worker's own folder."""

    base: Path
    _troubles: dict[str, str] = field(init=False, factory=dict)

    @property
    def trouble(self) -> str:
        """Say what cannot be written or read now; empty when all can."""
        return next(iter(self._troubles.values()), "")

    def folder(self, task_id: str) -> Folder:
        """The places of the task with this id."""
        return Folder(self.base / task_id)

    async def save(self, record: Record) -> None:
        """
        Make *record* durable before returning. Raises `OSError` (disk full); see `trouble`.

        Cancellation waits for the write: a document is either the old one or the new one.
        """
        task_id = record.authorization.chain_task_id
        text = json.dumps({"version": VERSION, "record": converter().unstructure(record)})
        with self._minded(task_id, f"the journal of {task_id} cannot be written"):
            await trio.to_thread.run_sync(_write, self.folder(task_id).journal, text)

    async def load(self) -> tuple[list[Record], list[str]]:
        """
        Read every record; the second list has the tasks whose folder holds none.

        What cannot be read is set aside with a word why. Raises `OSError` when the folder of all
        tasks cannot be listed; see `trouble`.
        """
        with self._minded("", f"the tasks in {self.base} cannot be listed"):
            return await trio.to_thread.run_sync(self._load)

    async def forget(self, task_id: str) -> None:
        """Remove everything about a task."""
        await trio.to_thread.run_sync(remove, self.folder(task_id).root)
        self._troubles.pop(task_id, None)

    @contextmanager
    def _minded(self, key: str, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._troubles[key] = f"{what}: {error}"
            raise
        self._troubles.pop(key, None)

    def _roots(self) -> list[Path]:
        """The folders of tasks, in order. Links are not followed, and none of ours."""
        try:
            entries = list(os.scandir(self.base))
        except FileNotFoundError:
            return []
        names = [e.name for e in entries if _TASK_ID.fullmatch(e.name) and not e.is_symlink()]
        return [self.base / name for name in sorted(names)]

    def _load(self) -> tuple[list[Record], list[str]]:
        found = {root.name: _read_or_set_aside(root) for root in self._roots()}
        records = [record for record in found.values() if record is not None]
        return records, [task_id for task_id, record in found.items() if record is None]


def _read_or_set_aside(root: Path) -> Record | None:
    path = Folder(root).journal
    try:
        return _read(path, root.name)
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        _set_aside(path, error)
        return None


def _read(path: Path, task_id: str) -> Record:
    document: dict[str, Any] = json.loads(_content(path))
    if document["version"] > VERSION:
        raise ValueError(f"written by a newer version ({document['version']} > {VERSION})")
    record = converter().structure(document["record"], Record)
    if record.authorization.chain_task_id != task_id:
        raise ValueError(f"it is of another task, {record.authorization.chain_task_id}")
    return record


def _content(path: Path) -> bytes:
    """Read a regular file: a FIFO in its place has no end, and a link may lead anywhere."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")
    return content


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_suffix(".unreadable")
    said = {"reason": repr(error), "next_step": "chain, pool and folder are asked what it held"}
    try:
        path.replace(aside)
    except OSError as refusal:
        log.warning("journal not readable", path=str(path), stays=str(refusal), **said)
    else:
        log.warning("journal set aside", path=str(aside), **said)


_WRITTEN_ANEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    try:
        # It has the secrets of sessions: nobody else on this machine is to read it.
        with open(os.open(new, _WRITTEN_ANEW, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib cannot set the mode
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        # The half that was written takes room that others may need to end.
        with suppress(OSError):
            new.unlink()
        raise
    # The rename itself must survive a power cut, too.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


async def durably(record: Record, node: Node, journal: Journal) -> None:
    """
    Return when *record* is written down, however long the disk is full: nothing may be told or
    sent that a crash would make us forget. *node* says what is in the way.

    Only a reveal does not wait longer than `REVEAL_PATIENCE`: it has no effect twice, and its
    deadline may cost the stake.
    """
    before, tries = node.doing, 0
    limit = REVEAL_PATIENCE if record.action is Action.PLEASE_REVEAL else math.inf
    with trio.move_on_after(limit):
        while True:
            try:
                await journal.save(record)
            except OSError as error:
                tries += 1
                node.last_error = f"{journal.trouble}: make room"
                node.doing = f"waiting until the journal can be written: {error}"
                log.warning("not written down, trying again", part=node.name, reason=str(error))
                await trio.sleep(WRITING.delay(tries))
            else:
                if tries:
                    node.doing = before
                    log.info("written down in the end", part=node.name)
                return
    log.error("revealing without a journal: a crash now would cost gas", part=node.name)
