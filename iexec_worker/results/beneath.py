"""Opening what strangers wrote: below a folder, through no link, regular files and folders only."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CHUNK: Final = 256 * 1024
"""Bytes read at once; also how much is read after a cancellation, at most."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A descriptor of this kind only points: to open a FIFO waits for its other end, and to open a
# device may already do something (rewind a tape, start a watchdog).
_POINT: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """Open *path*, which is ours, as the folder that nothing below may leave."""
    fd = os.open(path, _FOLDER)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def open_below(root: int, parts: Sequence[str]) -> Iterator[tuple[int, os.stat_result]]:
    """
    Open the regular file or folder at *parts* below the folder *root*, for reading.

    Raises `OSError` when a part is missing or a link, `ValueError` when one is no plain name or
    the last is neither a regular file nor a folder.
    """
    fd = _point(root, parts)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
            raise ValueError(f"{'/'.join(parts)!r} is neither a regular file nor a folder")
        # The same file again, now to be read: what its name leads to by now does not matter.
        readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
    try:
        yield readable, info
    finally:
        os.close(readable)


def read_chunks(fd: int, size: int) -> Iterator[bytes]:
    """
    Read at most *size* bytes of *fd* in chunks.

    Must run in a thread of Trio's; a cancellation of what awaits it is raised between chunks.
    """
    while size > 0:
        trio.from_thread.check_cancelled()
        chunk = os.read(fd, min(CHUNK, size))
        if not chunk:
            return
        size -= len(chunk)
        yield chunk


def _point(root: int, parts: Sequence[str]) -> int:
    """Point at *parts*, one name at a time, so that no name of the way can be a link."""
    fd = os.open(".", _FOLDER, dir_fd=root)
    for part in parts:
        parent = fd
        try:
            if part in ("", ".", "..") or "/" in part:
                raise ValueError(f"{part!r} is no name of a file")
            fd = os.open(part, _POINT, dir_fd=parent)
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                os.close(fd)
                raise ValueError(f"{'/'.join(parts)!r} leads through a link")
        finally:
            os.close(parent)
    return fd
