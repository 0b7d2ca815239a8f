"""The program that fetches the secrets of a TDX task: it proves to their keeper what it runs on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

#: Seconds: a quote, and a few requests to a service that verifies it.
LIMIT: Final = 120.0

#: Lines of its output that are kept, and characters of each.
LINES: Final = 200
LINE: Final = 500

#: Seconds for what it printed to arrive after its end, and for the end of one that was killed.
_REST: Final = 1.0
_DYING: Final = 5.0

#: Where a system's own programs are: the worker's environment has secrets, and is not handed on.
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@frozen
class Ended:
    """*status* is None when it was stopped at its limit; *lines* are the last that it printed."""

    status: int | None
    lines: tuple[str, ...]


@frozen
class Agent:
    """The *program*, which has *limit* seconds."""

    program: Path
    limit: float = LIMIT

    @property
    def is_here(self) -> bool:
        """True iff there is a program that this user may run."""
        return self.program.is_file() and os.access(self.program, os.X_OK)

    async def run(self, words: Sequence[str], folder: Path) -> Ended:
        """
        Run it with *words* in *folder*, where only this user reads what it writes.

        Cancelled, or at its limit, it is killed with all that it has started. Raises `OSError` when
        it cannot start.
        """
        kept: deque[str] = deque(maxlen=LINES)
        async with _process((str(self.program), *words), folder) as process:
            with trio.move_on_after(self.limit) as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_listen, process, kept)
                    await process.wait()
                    _kill_group(process)
                    # Something that left its group may hold the pipe open for ever.
                    nursery.cancel_scope.deadline = trio.current_time() + _REST
        return Ended(None if scope.cancelled_caught else process.returncode, tuple(kept))


@asynccontextmanager
async def _process(command: Sequence[str], folder: Path) -> AsyncIterator[trio.Process]:
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={"PATH": _PATH},
        # A group of its own can be killed as a whole, and Ctrl-C is ours to handle.
        start_new_session=True,
        umask=0o077,
    )
    try:
        yield process
    finally:
        with trio.move_on_after(_DYING, shield=True):
            if process.returncode is None:
                _kill_group(process)
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()


def _kill_group(process: trio.Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _listen(process: trio.Process, kept: deque[str]) -> None:
    """Keep the lines of its output, cut where they are too long."""
    assert process.stdout is not None, "it is a pipe"
    rest = b""
    async for chunk in process.stdout:
        *lines, rest = (rest + chunk).split(b"\n")
        kept.extend(map(_shown, lines))
        rest = rest[: 4 * LINE]
    if rest:
        kept.append(_shown(rest))


def _shown(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()[:LINE]
