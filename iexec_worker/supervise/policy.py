"""When a service that ended is started again, how soon, and when not any more."""

from __future__ import annotations

import enum
import random
from typing import Final

from attrs import frozen

from iexec_worker.errors import Fatal


class Restart(enum.Enum):
    """When a service that ended is started again."""

    PERMANENT = "always; returning is a failure"
    TRANSIENT = "after an error; returning is fine"
    TEMPORARY = "never; an error is logged"


@frozen
class Intensity:
    """
    How many failures within *period* seconds are borne; one more escalates.

    The budget is full again after *period* seconds of health: of being ready.
    """

    restarts: int = 3
    period: float = 60.0


@frozen
class Backoff:
    """Seconds before the n-th restart in a row: *first* doubled n times, at most *limit*."""

    first: float = 0.5
    limit: float = 30.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after *failures* ≥ 1 in a row; half of it is jitter."""
        full = min(self.limit, self.first * 2.0 ** min(failures - 1, 32))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards no secret


@frozen
class Policy:
    """
    How one service is supervised.

    Errors of the types in *through* are for the parent. Those of the types in *borne* are answered
    by a restart for ever: they do not count for the intensity.
    """

    restart: Restart = Restart.PERMANENT
    intensity: Intensity = Intensity()
    backoff: Backoff = Backoff()
    through: tuple[type[Exception], ...] = (Fatal,)
    borne: tuple[type[Exception], ...] = ()


#: For what depends on others: they may be away for days, and giving up helps nobody.
FOREVER: Final = Policy(borne=(Exception,))
