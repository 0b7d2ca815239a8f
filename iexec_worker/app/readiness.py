"""Why the worker is not ready: one line for each thing that work needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Mapping

    import trio

    from iexec_worker.app.disk import Disk
    from iexec_worker.app.watches import EngineWatch
    from iexec_worker.membership.attendance import Attendance
    from iexec_worker.membership.obstacles import Obstacles


@define(eq=False)
class Readiness:
    """Reads the troubles of the parts. *attendance* and *obstacles* come with the first terms."""

    engine: EngineWatch
    disk: Disk
    draining: trio.Event
    attendance: Attendance | None = None
    obstacles: Obstacles | None = None

    @property
    def line(self) -> str:
        """Say all of it in one line."""
        troubles = [f"{name}: {reason}" for name, reason in self().items() if reason]
        return "; ".join(troubles) or "member of the pool, takes work"

    def __call__(self) -> Mapping[str, str | None]:
        joined, obstacles = self.attendance, self.obstacles
        return {
            "scheduler": (joined.trouble if joined else "the pool has not answered yet") or None,
            "engine": self.engine.trouble or None,
            "disk": self.disk.trouble or None,
            "node": (obstacles.blocks.trouble if obstacles else "not known yet") or None,
            "gas": (obstacles.gas if obstacles else "") or None,
            "draining": "draining" if self.draining.is_set() else None,
        }
