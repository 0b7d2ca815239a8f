"""Processes that live as long as a scope, and are awaited by what they do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool.lifeline import lifeline
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
        Sequence,
    )

#: Between two looks whether a process serves: short against any start-up, long against a look.
_LOOK_EVERY: Final = 0.02

#: The end of a log that is worth showing, in characters.
_TAIL: Final = 2_000


#: Where a system keeps its administrator's commands; a shell of `su` does not look there.
SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"


def find(command: str) -> str | None:
    """The path of *command*, None if it is not installed."""
    return shutil.which(command) or shutil.which(command, path=SBIN)


def children(pid: int) -> Iterator[int]:
    """The processes that *pid* has started and that run now."""
    # Not by /proc/<pid>/task/*/children: they move when a thread ends, and would be missed.
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything; state and parent come after it.
            _, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                yield int(stat.parent.name)


def send(pid: int, number: signal.Signals) -> None:
    """Send a process a signal; one that has ended is no error."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@frozen
class Child:
    """A running process; what it prints goes to *log*."""

    name: str
    command: Sequence[str]
    process: trio.Process
    log: Path

    async def serving(self, probe: Callable[[], Awaitable[bool]], *, limit: float) -> None:
        """
        Wait until *probe* says True, at most *limit* seconds.

        Raises Fatal with the end of the log if the process ends before, or takes longer.
        """
        with trio.move_on_after(limit):
            while not await probe():
                if self.process.poll() is not None:
                    raise Fatal(
                        f"{self.name} ended with status {self.process.returncode}: {self.tail()}"
                    )
                await trio.sleep(_LOOK_EVERY)
            return
        raise Fatal(f"{self.name} did not serve within {limit:g} s: {self.tail()}")

    def tail(self) -> str:
        """The end of the log, with its place."""
        text = self.log.read_text(errors="replace")[-_TAIL:].strip()
        return f"{text or 'it printed nothing'} (log: {self.log})"


@asynccontextmanager
async def child(
    command: Sequence[str],
    *,
    name: str,
    log: Path,
    grace: float = 5.0,
    environ: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    orphaned: int = signal.SIGTERM,
) -> AsyncIterator[Child]:
    """
    Run *command* for the time of the scope, in a session of its own; *log* is written anew.

    Its environment is *environ*, or that of this process; *stdin* may be subprocess.PIPE.

    On leaving it gets SIGTERM, after *grace* seconds SIGKILL, and its end is awaited. Should this
    process be killed, it gets the signal *orphaned*. A session of its own keeps Ctrl-C from ending
    it before those that use it. Raises OSError if it cannot start.
    """
    with lifeline() as line:
        with log.open("wb") as output:
            process = await trio.lowlevel.open_process(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(line.end,),
                env=environ,
            )
        try:
            line.tie(process.pid, orphaned)
            yield Child(name, command, process, log)
        finally:
            await _end(process, grace)


async def _end(process: trio.Process, grace: float) -> None:
    # SIGKILL cannot be refused, so the shield ends at the latest soon after the grace.
    with trio.CancelScope(shield=True):
        process.terminate()
        with trio.move_on_after(grace):
            await process.wait()
        process.kill()
        await process.wait()
