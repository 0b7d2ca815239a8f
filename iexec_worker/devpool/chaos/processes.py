"""What can be done to a process besides ending it."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from iexec_worker.devpool.child import children, send

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
            send(each, signal.SIGSTOP)
        yield
    finally:
        for each in reversed(stopped):
            send(each, signal.SIGCONT)
