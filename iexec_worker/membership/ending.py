"""How a worker ends: in its own time, in a given time, or now."""

from __future__ import annotations

import math

import trio
from attrs import define, field


@define(eq=False)
class Ending:
    """
    Set by signals, read by every part that takes, holds or leaves something.

    *draining*: no new work is taken, from now to the end. *stopping*: what runs is stopped as well.
    What still runs *patience* seconds after the drain began is parked.
    """

    patience: float
    draining: trio.Event = field(factory=trio.Event)
    stopping: trio.Event = field(factory=trio.Event)
    _deadline: float = math.inf
    _parked: bool = False

    def drain(self) -> None:
        """Begin to end; a second call changes nothing."""
        if not self.draining.is_set():
            self._deadline = trio.current_time() + self.patience
            self.draining.set()

    def stop(self) -> None:
        """End now."""
        self.drain()
        self.stopping.set()

    async def patience_ends(self) -> None:
        """Return when a drain has taken its time, or at a stop."""
        await self.draining.wait()
        with trio.CancelScope(deadline=self._deadline):
            await self.stopping.wait()

    def park(self) -> None:
        """Leave what runs to a next life, which meets it again; not at a stop."""
        self._parked = not self.stopping.is_set()

    def leaves_running(self) -> bool:
        """True iff containers of tasks that are cut short now are to go on without us."""
        return self._parked and not self.stopping.is_set()
