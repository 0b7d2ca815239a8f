"""The compute slots of this machine: how many tasks may compute at once."""

from __future__ import annotations

import trio
from attrs import define


@define(eq=False)
class Slot:
    """The right to compute one task. `release` may be called more than once."""

    _limiter: trio.CapacityLimiter
    _borrower: object | None

    def release(self) -> None:
        """Give the slot back, at the latest when the task no longer computes."""
        if self._borrower is not None:
            self._limiter.release_on_behalf_of(self._borrower)
            self._borrower = None


class Slots:
    """Hands out as many slots as the CPU/GPU configuration allows."""

    def __init__(self, total: int) -> None:
        self._limiter = trio.CapacityLimiter(total)

    @property
    def total(self) -> int:
        """Slots of this machine."""
        return int(self._limiter.total_tokens)

    @property
    def used(self) -> int:
        """Slots held now."""
        return self._limiter.borrowed_tokens

    async def acquire(self) -> Slot:
        """Wait for a free slot; first come, first served. The caller releases it."""
        borrower = object()
        await self._limiter.acquire_on_behalf_of(borrower)
        return Slot(self._limiter, borrower)
