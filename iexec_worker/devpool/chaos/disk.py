"""A disk of its own for each worker, small enough to be filled: a tmpfs."""

from __future__ import annotations

import errno
import subprocess
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: Tasks of a chaos run need some kB each.
_SIZE: Final = "16m"

_FILLER: Final = "filler"
_CHUNK: Final = bytes(65_536)

_LIMIT: Final = 10.0


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[None]:
    """Mount a small disk at *folder* for the time of the scope; root only. Raises Fatal."""
    await trio.Path(folder).mkdir(parents=True, exist_ok=True)
    await _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "iexec-chaos", str(folder))
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            # Lazily: an engine that was killed may still hold folders of containers.
            await _run("umount", "--lazy", str(folder))


async def fill(folder: Path, seconds: float) -> None:
    """Leave no room on the disk of *folder* for so long."""
    filler = folder / _FILLER
    try:
        await trio.to_thread.run_sync(_fill, filler)
        await trio.sleep(seconds)
    finally:
        filler.unlink(missing_ok=True)


def _fill(path: Path) -> None:
    # Without a buffer: what cannot be written is not tried again when the file is closed.
    with path.open("wb", buffering=0) as file:
        chunk = _CHUNK
        while chunk:
            try:
                file.write(chunk)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                chunk = chunk[: len(chunk) // 2]


async def _run(*command: str) -> None:
    call = partial(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=_LIMIT
    )
    done = await trio.to_thread.run_sync(call)
    if done.returncode != 0:
        raise Fatal(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
