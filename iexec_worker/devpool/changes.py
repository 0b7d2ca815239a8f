"""Waiting for what other tasks change, without asking again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@define(eq=False)
class Changes:
    """A bell: whoever changes something rings it, whoever waits for it looks again."""

    _event: trio.Event = field(factory=trio.Event)

    def ring(self) -> None:
        """Wake everyone who waits."""
        self._event.set()
        self._event = trio.Event()

    async def until(self, look: Callable[[], T | None]) -> T:
        """Return the first truthy value of *look*, which is called now and after every ring."""
        while not (found := look()):
            await self._event.wait()
        await trio.lowlevel.checkpoint()
        return found
