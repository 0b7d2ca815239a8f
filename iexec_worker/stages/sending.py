"""Transactions of a task: remembered before they are broadcast, found again after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from iexec_worker.errors import Reverted
from iexec_worker.model import ZERO_HASH, ChainReceipt

if TYPE_CHECKING:
    from iexec_worker.chain.blocks import BlockWatch
    from iexec_worker.chain.calls import Call
    from iexec_worker.chain.transactions import Transactions
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Sending:
    """Sends calls through the single writer and keeps their hashes in the task's record."""

    transactions: Transactions
    blocks: BlockWatch

    async def send(self, task: Task, label: str, call: Call) -> ChainReceipt:
        """Follow the transaction that was sent before, or send one. Raises as the writer does."""
        receipt = await self._sent_before(task, label, call)
        if receipt is not None:
            return receipt

        async def remember(tx_hash: str) -> None:
            task.record.transactions[label] = tx_hash
            await task.save()

        return await self.transactions.send(call, on_signed=remember)

    async def _sent_before(self, task: Task, label: str, call: Call) -> ChainReceipt | None:
        """Follow what was sent before; None when nothing of it is left that could have effect."""
        known = task.record.transactions.get(label)
        if known is None:
            return None
        try:
            return await self.transactions.follow(known, call)
        except Reverted as error:
            # It had no effect and never will: whether another may have, its simulation says.
            log.warning("earlier transaction had no effect", task=task.id, reason=str(error))
            return None

    async def receipt(self, task: Task, label: str) -> ChainReceipt:
        """
        Say where the effect that the chain already shows was mined.

        A record that does not know the transaction (lost, or replaced) gives the latest block:
        the pool only checks that its node has reached the block.
        """
        known = task.record.transactions.get(label)
        found = await self.transactions.mined(known) if known is not None else None
        if found is not None:
            return found
        latest = await self.blocks.current()
        return ChainReceipt(latest.number, known or ZERO_HASH)
