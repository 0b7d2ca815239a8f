"""What the commands with an embedded pool share: where its files are, and how it ends."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.supervise import only
from iexec_worker.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

#: What shells report for a program that Ctrl-C ended.
INTERRUPTED: Final = 130


def cache() -> Path:
    """Return the folder for downloads that every later run can use."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "iexec-worker"


def environment() -> dict[str, str]:
    """Return the environment of this process."""
    return dict(os.environ)


@contextmanager
def log_into(path: Path) -> Iterator[None]:
    """Send what the pool logs into the file *path*: the terminal is for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        logs.configure("debug", "console", stream=stream)
        try:
            yield
        finally:
            logs.configure("info", "console")


def run(work: Callable[[], Awaitable[None]]) -> bool:
    """
    Run *work* to its end; False when SIGINT or SIGTERM cancelled it.

    An error that comes alone is raised without the groups that nurseries put around it.
    """
    try:
        return trio.run(_until_signalled, work)
    except BaseExceptionGroup as group:
        raise only(group) from None


async def _until_signalled(work: Callable[[], Awaitable[None]]) -> bool:
    done = False
    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_at_signal, nursery.cancel_scope)
        await work()
        done = True
        nursery.cancel_scope.cancel()
    return done


async def _cancel_at_signal(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
