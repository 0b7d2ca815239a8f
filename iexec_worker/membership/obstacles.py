"""Why no work may be taken now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from attrs import define

from iexec_worker.chain.gas import CONTRIBUTE_GAS, FEW_TRANSACTIONS, REVEAL_GAS
from iexec_worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

    from iexec_worker.chain.gas import GasRules
    from iexec_worker.chain.hub import Hub
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.chain.transactions.dues import Dues

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class Obstacles:
    """
    Looks at what must hold before a task may be taken. *draining* is set once, at the end.

    *machine* says why this machine cannot compute now (engine, disk), empty when it can.
    *dues* is the gas that the tasks under way will still use: it is kept back for them. *gas* is
    the last finding about gas, for readiness; empty when there is enough.
    """

    hub: Hub
    blocks: BlockWatch
    rules: GasRules
    dues: Dues
    draining: trio.Event
    machine: Callable[[], Awaitable[str]]
    gas: str = ""
    _warned_at: int | None = None

    async def __call__(self) -> str:
        """Say what is in the way, in one line; empty when nothing is."""
        if self.draining.is_set():
            return "draining: no new work is taken"
        trouble = await self.machine() or self.blocks.trouble
        if trouble:
            return trouble
        try:
            balance = await self.hub.balance(self.hub.wallet)
        except WorkerError as error:
            return str(error)
        self.gas = self._gas(balance)
        return self.gas

    def _gas(self, balance: int) -> str:
        left = self.rules.left(balance)
        if left is not None and left < 1:
            return (
                f"out of gas: {balance} wei do not pay for one transaction; send native tokens "
                f"to {self.hub.wallet}"
            )
        kept = self.rules.at_most(self.dues.gas)
        missing = kept + self.rules.at_most(CONTRIBUTE_GAS + REVEAL_GAS) - balance
        if missing > 0:
            return (
                f"gas is kept back for the tasks under way: {kept} of {balance} wei; for another "
                f"task send {missing} wei to {self.hub.wallet}"
            )
        if left is None or left >= FEW_TRANSACTIONS:
            self._warned_at = None
            return ""
        if self._warned_at != left:
            self._warned_at = left
            log.warning("gas runs low", transactions_left=left, wallet=self.hub.wallet)
        return ""
