"""Open while the notification link is up: answers that come as notifications need it."""

from __future__ import annotations

import trio
from attrs import define, field


@define(eq=False)
class Gate:
    """Closed at first. The link opens and closes it, reports wait for it."""

    _opened: trio.Event = field(factory=trio.Event)

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    def open(self) -> None:
        """Let everybody pass who waits or comes."""
        self._opened.set()

    def close(self) -> None:
        """Hold everybody who comes from now on."""
        if self.is_open:
            self._opened = trio.Event()

    async def wait_open(self) -> None:
        """Return once the gate is open. It may close and open again before that."""
        while not self.is_open:
            await self._opened.wait()
