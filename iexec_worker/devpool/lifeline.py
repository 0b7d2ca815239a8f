"""How children learn that their parent is gone, also when nothing could end them any more."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator


@frozen
class Lifeline:
    """The end of a pipe that a child inherits as *end*; the other end is closed with the parent."""

    end: int

    def tie(self, pid: int, number: int) -> None:
        """
        Have the kernel send signal *number* to our child *pid* as soon as its parent is gone.

        One that is killed between starting the child and this call goes unnoticed.
        """
        # Not PR_SET_PDEATHSIG: that is sent when the thread that forked is gone, and Trio forks in
        # threads that it keeps for seconds. The kernel also notes the process, not its number, so
        # that nobody else is ever signalled; and what the child executes makes no difference.
        fcntl.fcntl(self.end, fcntl.F_SETSIG, number)
        fcntl.fcntl(self.end, fcntl.F_SETOWN, pid)
        flags = fcntl.fcntl(self.end, fcntl.F_GETFL)
        fcntl.fcntl(self.end, fcntl.F_SETFL, flags | os.O_ASYNC)


@contextmanager
def lifeline() -> Iterator[Lifeline]:
    """A lifeline for one child, which has to end before the block does."""
    # Neither end is inherited, unless a child is given it.
    end, ours = os.pipe()
    try:
        yield Lifeline(end)
    finally:
        os.close(end)
        os.close(ours)
