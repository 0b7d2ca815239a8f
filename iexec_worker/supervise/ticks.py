"""A service's pulse."""

from __future__ import annotations

import math
from typing import Self

import trio


class every:  # noqa: N801 - reads as a word: `async for _ in every(10)`
    """
    Tick at once and then every *period* seconds without drift; missed ticks are not made up.

    A class, because a generator that is left early has to be closed by somebody.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._due = -math.inf

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> None:
        now = trio.current_time()
        self._due = max(self._due + self._period, now)
        await trio.sleep_until(self._due)
