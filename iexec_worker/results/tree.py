"""Walking what strangers wrote: every file, link and oddity below a folder, in a fixed order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.results.beneath import open_below

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 256
"""Folders in folders. Full paths end at 4,096 bytes, so tools that use them stop not far above."""


@frozen
class Entry:
    """Something below the root; *parts* are the names that lead to it."""

    parts: tuple[str, ...]
    is_file: bool
    is_link: bool


def walk(root: int, parts: tuple[str, ...] = ()) -> Iterator[Entry]:
    """
    Yield all that is not a folder below *root*, by name, a folder's entries in its place.

    Raises `OSError` when a folder cannot be read, `ValueError` when folders are too deep. Must
    run in a thread of Trio's.
    """
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"folders are more than {MAX_DEPTH} deep")
    for child in children(root, parts):
        here = (*parts, child.name)
        if child.is_dir(follow_symlinks=False):
            yield from walk(root, here)
        else:
            yield Entry(here, child.is_file(follow_symlinks=False), child.is_symlink())


def children(root: int, parts: tuple[str, ...]) -> list[os.DirEntry[str]]:
    """List the folder at *parts* below *root*, sorted by `utf16`."""
    trio.from_thread.check_cancelled()
    # The folder is opened from the root again at each level: a descriptor per level would let
    # deep trees use up the process's.
    with open_below(root, parts) as (fd, _), os.scandir(fd) as entries:
        found = sorted(entries, key=lambda entry: utf16(entry.name))
        # Their kinds are asked for while the folder is open: not every filesystem lists them.
        for entry in found:
            entry.is_dir(follow_symlinks=False)
        return found


def utf16(name: str) -> bytes:
    """*name* in UTF-16: its units, compared as bytes, give the order of the other workers."""
    return name.encode("utf-16-be", "surrogatepass")
