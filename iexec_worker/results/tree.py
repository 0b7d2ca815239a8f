"""Walking what strangers wrote: every file, link and oddity below a folder, in a fixed order."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.results.beneath import open_below

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PATH: Final = 4096
"""Bytes from the root to a name. No tool that uses whole paths, as the other workers do, gets
further; the limit of archives is not far above."""


@frozen
class Limits:
    """
    What a result may have.

    *entries*: files, folders and all else together; the default is what an archive of the old
    form holds. *bytes* of its files together, holes included. *depth*: folders in folders.
    """

    entries: int = 65_535
    bytes: int = 10 * 1024**3
    depth: int = 256


@frozen
class Entry:
    """Something below the root; *parts* are the names that lead to it."""

    parts: tuple[str, ...]
    is_file: bool
    is_link: bool


def walk(root: int, limits: Limits) -> Iterator[Entry]:
    """
    Yield all that is not a folder below *root*, by name, a folder's entries in its place.

    Raises `OSError` when a folder cannot be read, `ValueError` when there is more than *limits*
    allow. Must run in a thread of Trio's.
    """
    found = children(root, (), limits.entries)
    left = limits.entries - len(found)
    # Not recursive: strangers choose the depth, not Python's stack.
    open_folders: list[tuple[tuple[str, ...], Iterator[os.DirEntry[str]]]] = [((), iter(found))]
    while open_folders:
        parts, rest = open_folders[-1]
        child = next(rest, None)
        if child is None:
            open_folders.pop()
            continue
        here = (*parts, child.name)
        _require_short(here)
        if not child.is_dir(follow_symlinks=False):
            yield Entry(here, child.is_file(follow_symlinks=False), child.is_symlink())
            continue
        if len(here) > limits.depth:
            raise ValueError(f"folders are more than {limits.depth} deep")
        found = children(root, here, left)
        left -= len(found)
        open_folders.append((here, iter(found)))


def children(root: int, parts: tuple[str, ...], most: int) -> list[os.DirEntry[str]]:
    """
    List the folder at *parts* below *root*, sorted by `utf16`.

    Raises `ValueError` when it has more than *most* entries, before it reads them all.
    """
    trio.from_thread.check_cancelled()
    # The folder is opened from the root again at each level: a descriptor per level would let
    # deep trees use up the process's.
    with open_below(root, parts) as (fd, _), os.scandir(fd) as entries:
        found = list(islice(entries, most + 1))
        if len(found) > most:
            raise ValueError("there are more files and folders than a result may have")
        found.sort(key=lambda entry: utf16(entry.name))
        # Their kinds are asked for while the folder is open: not every filesystem lists them.
        for entry in found:
            entry.is_dir(follow_symlinks=False)
        return found


def utf16(name: str) -> bytes:
    """*name* in UTF-16: its units, compared as bytes, give the order of the other workers."""
    return name.encode("utf-16-be", "surrogatepass")


def _require_short(parts: tuple[str, ...]) -> None:
    if sum(map(len, map(os.fsencode, parts))) + len(parts) > MAX_PATH:
        raise ValueError(f"a path is longer than {MAX_PATH} bytes")
