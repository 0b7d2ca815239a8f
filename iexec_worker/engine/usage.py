"""How much of a disk strangers' files take. Blocks; must run in a thread of Trio's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

if TYPE_CHECKING:
    from pathlib import Path

ENTRY: Final = 4096
"""Bytes that every file and folder counts at least: empty ones fill a disk as well."""

_BLOCK: Final = 512


@frozen
class Usage:
    """*whole*: everything was seen; else it may be more than these *bytes*."""

    bytes: int
    whole: bool


def usage(folder: Path, most: int) -> Usage:
    """
    Measure what is below *folder*, which need not exist, until it is more than *most* bytes.

    Blocks on the disk are counted, not sizes: a file of holes takes no room. Links are not
    followed. What is closed to this process or too deep for its paths is not seen.
    """
    total, whole = 0, True
    pending = [os.fspath(folder)]
    while pending and total <= most:
        trio.from_thread.check_cancelled()
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += max(ENTRY, _blocks(entry) * _BLOCK)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    if total > most:
                        break
        except FileNotFoundError:
            # The app goes on working there.
            continue
        except OSError:
            whole = False
    return Usage(total, whole)


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks
    except OSError:
        return 0
