"""What can be done to a process besides ending it."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from iexec_worker.devpool.child import children

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """
    Stop a process, and the processes it has started, for the time of the block.

    An engine is frozen with its containerd; its containers are no children of either and go on.
    Whatever ends the block, they go on after it; one that ended meanwhile is no error.
    """
    stopped: list[int] = []
    try:
        # The parent first: it starts no more of them then.
        for each in (pid, *children(pid)):
            stopped.append(each)
            _signal(each, signal.SIGSTOP)
        yield
    finally:
        for each in reversed(stopped):
            _signal(each, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
