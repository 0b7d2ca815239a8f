"""Whether the scheduler's view of the chain is fresh enough to give work and take reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import define, field

from iexec_worker.errors import Unavailable

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.onchain import Block
    from iexec_worker.devpool.clock import Clock
    from iexec_worker.devpool.scheduler.ports import Chain
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class ChainMonitor:
    """
    Looks at the latest block in a rhythm; down until the first look of this process.

    From 9.2.0 on, a block whose timestamp is too old means down; before, only a silent node.
    """

    chain: Chain
    settings: SchedulerSettings
    clock: Clock
    _latest: Block | None = field(default=None, init=False)

    @property
    def up(self) -> bool:
        """True iff `/replicates/available` and `/updateStatus` are served."""
        if self._latest is None:
            return False
        if self.settings.numbers < (9, 2, 0):
            return True
        return self.clock.now() - self._latest.timestamp <= self.settings.stale_after

    async def look(self) -> None:
        """Look once."""
        try:
            self._latest = await self.chain.latest_block()
        except Unavailable as reason:
            log.warning("no block", reason=str(reason))
            if self.settings.numbers < (9, 2, 0):
                self._latest = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await trio.sleep(self.settings.periods.blocks)
