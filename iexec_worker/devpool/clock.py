"""The scheduler's idea of the time, which can be set forward."""

from __future__ import annotations

import time

from attrs import define


@define(eq=False)
class Clock:
    """Wall-clock time plus *ahead* seconds."""

    ahead: float = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead
