"""A file that is there as a whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from iexec_worker.errors import Declined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESERVE: Final = 64 * 1024**2
"""Bytes of the disk that a download leaves free: journals and results of others go on."""


class PartialFile:
    """Takes bytes; a thread's business throughout, as each call may wait for the disk."""

    def __init__(self, path: Path, reserve: int) -> None:
        self.size = 0
        self._path = path
        self._reserve = reserve
        self._temporary = path.with_name(f".{path.name}.part")
        self._sha256 = hashlib.sha256()
        # What a process before us left there; O_EXCL then follows no link put in its place.
        self._temporary.unlink(missing_ok=True)
        self._fd = os.open(
            self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
        )

    @property
    def sha256(self) -> str:
        """The `0x` sha256 of what was written so far."""
        return "0x" + self._sha256.hexdigest()

    def write(self, data: bytes) -> None:
        """Append *data*. Raises `Declined` when the disk is full."""
        self.require(len(data))
        try:
            with open(self._fd, "wb", buffering=0, closefd=False) as file:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._full() from error
            raise
        self._sha256.update(data)
        self.size += len(data)

    def require(self, size: int) -> None:
        """Raise `Declined` unless *size* more bytes leave the disk its reserve."""
        disk = os.fstatvfs(self._fd)
        if disk.f_bavail * disk.f_frsize - size < self._reserve:
            raise self._full()

    def commit(self) -> None:
        """Make the file durable under its name."""
        os.fsync(self._fd)
        self._temporary.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Leave nothing behind but what was committed."""
        os.close(self._fd)
        with suppress(FileNotFoundError):
            self._temporary.unlink()

    def _full(self) -> Declined:
        return Declined(
            f"the disk of {self._path.parent} is full after {self.size} bytes: free some space"
        )


@contextmanager
def partial_file(path: Path, reserve: int) -> Iterator[PartialFile]:
    """Open *path* for writing; it appears with `commit`, else nothing stays."""
    file = PartialFile(path, reserve)
    try:
        yield file
    finally:
        file.close()
