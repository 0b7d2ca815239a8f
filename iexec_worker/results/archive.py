"""The archive of `iexec_out` that goes to the result proxy."""

from __future__ import annotations

import os
import stat
import zipfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

import structlog

from iexec_worker.results.beneath import open_below, open_folder, read_chunks
from iexec_worker.results.tree import Entry, Limits, utf16, walk

if TYPE_CHECKING:
    from pathlib import Path

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

LONGEST_NAME: Final = 31
"""UTF-16 units in the name of a file of a result, by protocol."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can tell: the same files always give the same archive."""

_MODE: Final = stat.S_IFREG | 0o644


_SHOWN: Final = 10


def too_long_name(source: Path, limits: Limits) -> str | None:
    """
    Return the first name of a file or a link, at any depth, that is too long for a result.

    Raises as `zip_folder` when the folder cannot be read, or has more entries than *limits* allow.
    """
    with open_folder(source) as root:
        for entry in walk(root, limits):
            name = entry.parts[-1]
            if (entry.is_file or entry.is_link) and len(utf16(name)) // 2 > LONGEST_NAME:
                return name
    return None


def zip_folder(source: Path, destination: Path, limits: Limits) -> None:
    """
    Archive *source* to *destination*, which appears when it is complete.

    Files by their path below *source*, links as empty files (never followed), no folders;
    devices, sockets and FIFOs are left out. Memory does not grow with the files.

    Raises `OSError` when something cannot be read or the disk is full, `ValueError` when the
    tree is larger than *limits* allow or two names are the same in an archive.
    """
    temporary = destination.with_name(f".{destination.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        with open_folder(source) as root, temporary.open("xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                _fill(archive, root, limits)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(destination)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _fill(archive: zipfile.ZipFile, root: int, limits: Limits) -> None:
    left, odd = limits.bytes, []
    for entry in walk(root, limits):
        name = _archive_name(entry)
        if entry.is_file or entry.is_link:
            left -= _add(archive, root, entry, name, left)
        else:
            odd.append(name)
    if odd:
        # One line: there may be as many as there may be files.
        log.warning(
            "left out of the archive: neither files nor links",
            number=len(odd),
            files=list(map(repr, odd[:_SHOWN])),
        )


def _add(archive: zipfile.ZipFile, root: int, entry: Entry, name: str, room: int) -> int:
    """Add one file or link; returns its bytes. Raises `ValueError` for more than *room*."""
    if name in archive.NameToInfo:
        raise ValueError(f"two files are {name!r} in an archive")
    if entry.is_link:
        archive.writestr(_header(name, 0), b"")
        return 0
    with open_below(root, entry.parts) as (fd, info):
        if info.st_size > room:
            raise ValueError("the files are larger than a result may be")
        header = _header(name, info.st_size)
        # A header with its size gets the form for large files (ZIP64) when it needs it.
        with archive.open(header, "w") as target:
            _copy(fd, info.st_size, target)
        return info.st_size


def _copy(fd: int, size: int, target: IO[bytes]) -> None:
    """Copy the file as long as it was when it was opened: one that grows has no end."""
    for chunk in read_chunks(fd, size):
        target.write(chunk)


def _header(name: str, size: int) -> zipfile.ZipInfo:
    header = zipfile.ZipInfo(name, _EPOCH)
    header.file_size = size
    header.compress_type = zipfile.ZIP_DEFLATED
    header.external_attr = _MODE << 16
    return header


def _archive_name(entry: Entry) -> str:
    """The entry's path; bytes that are no UTF-8, which a zip cannot hold, as escapes."""
    path = "/".join(entry.parts)
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
