"""What a line does to the bytes on it, now and until it is told otherwise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio
from attrs import define, field, frozen, validators

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Plan:
    """
    How a line behaves; the default is one that does nothing to anybody.

    *latency*: seconds that everything takes longer, in each direction, also a connection's ends.
    *bandwidth*: bytes per second, for each direction of each connection.
    *blackhole*: connections are accepted and nothing arrives, neither way. What is sent then
    arrives when the plan is lifted, late but whole, as TCP's retransmissions would have it.
    *refuse*: new connections are reset at once; those there are go on.
    """

    latency: float = field(default=0.0, validator=validators.ge(0))
    bandwidth: int | None = field(default=None, validator=validators.optional(validators.gt(0)))
    blackhole: bool = False
    refuse: bool = False

    @property
    def delay(self) -> float:
        """Seconds from one end to the other, infinite for a blackhole."""
        return math.inf if self.blackhole else self.latency

    def transmission(self, size: int) -> float:
        """Seconds that *size* bytes keep the line busy."""
        return size / self.bandwidth if self.bandwidth else 0.0


@define(eq=False)
class Line:
    """The plan of all connections of a proxy; who waits by it follows every change."""

    plan: Plan = field(factory=Plan)
    _changed: trio.Event = field(factory=trio.Event, init=False)

    def set(self, plan: Plan) -> None:
        """Behave by *plan* from now on, also to what is on its way."""
        self.plan = plan
        self._changed.set()
        self._changed = trio.Event()

    async def arrival(self, sent: float) -> None:
        """Wait until what was sent at *sent*, by Trio's clock, is at the other end."""
        await self._until(lambda plan: sent + plan.delay)

    async def transmitted(self, size: int) -> None:
        """Wait as long as the line is busy with *size* bytes."""
        began = trio.current_time()
        await self._until(lambda plan: began + plan.transmission(size))

    async def _until(self, due: Callable[[Plan], float]) -> None:
        while trio.current_time() < (deadline := due(self.plan)):
            with trio.move_on_at(deadline):
                await self._changed.wait()
