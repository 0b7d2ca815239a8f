"""Telling and asking take turns."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

#: Seconds. A pool that has not answered by then has long noted what it was told, and a call that
#: hangs must not keep the others waiting.
PATIENCE: Final = 10.0


@define(eq=False)
class Turns:
    """
    Statuses are told side by side, and so are questions asked, but not both at once.

    A pool that is asked what it still wants sets the replicate to RECOVERING. Does that come
    between the moment at which it notes REVEALED and the one at which it looks for a replicate
    that is in this status now, it finds none, and never looks again.
    """

    _tellings: int = field(init=False, default=0)
    _questions: int = field(init=False, default=0)
    _changed: trio.Event = field(init=False, factory=trio.Event)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell in this block; begins when no question is open, after `PATIENCE` at most."""
        await self._until(lambda: not self._questions)
        self._tellings += 1
        try:
            yield
        finally:
            self._tellings -= 1
            self._ring()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask in this block; begins when nothing is being told, after `PATIENCE` at most."""
        await self._until(lambda: not self._tellings)
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1
            self._ring()

    async def _until(self, free: Callable[[], bool]) -> None:
        with trio.move_on_after(PATIENCE):
            while not free():
                await self._changed.wait()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
