"""Random folders as apps leave them, and what a plain reading of the rules makes of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from eth_hash.auto import keccak

if TYPE_CHECKING:
    import random
    from pathlib import Path

#: Trees of a test of equality: few enough to be quick, enough for what is rare to happen often.
TREES = 1_000

#: Bytes of a file and how often it has them; the largest are read in more than one piece.
SIZES = {0: 30, 1: 30, 100: 30, 70_000: 3, 300_000: 1}

NAMES = ("a", "A", "b.txt", "é", "z", "Z-1", "\uffee", "\U0001f600", "stdout.txt", "a b", ".hidden")


def grow(folder: Path, dice: random.Random, depth: int = 0) -> None:
    """Fill *folder* with files, folders and links."""
    for name in dice.sample(NAMES, dice.randint(0, 6)):
        path = folder / name
        kind = dice.random()
        if kind < 0.25 and depth < 3:
            path.mkdir()
            grow(path, dice, depth + 1)
        elif kind < 0.35:
            path.symlink_to(dice.choice(("/etc/passwd", "a", "nowhere", "..")))
        else:
            (size,) = dice.choices(list(SIZES), list(SIZES.values()))
            path.write_bytes(dice.randbytes(size))


def plain_archive(folder: Path) -> dict[str, bytes]:
    """The entries of the archive of *folder*."""
    return {
        path.relative_to(folder).as_posix(): b"" if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def plain_digest(path: Path) -> str:
    """The digest of *path*, without links."""
    if path.is_file():
        return "0x" + hashlib.sha256(path.read_bytes()).hexdigest()
    files = [child for child in path.iterdir() if child.is_file()]
    files.sort(key=lambda child: str(child).encode("utf-16-be"))
    hashes = [hashlib.sha256(child.read_bytes()).digest() for child in files]
    return "0x" + keccak(b"".join(hashes)).hex()


def without_links(folder: Path) -> None:
    for path in list(folder.rglob("*")):
        if path.is_symlink():
            path.unlink()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
