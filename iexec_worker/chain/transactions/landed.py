"""Transactions that were mined: followed until their blocks are too deep to be reorganised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog
import trio
from attrs import define, field

from iexec_worker.chain.node.rpc import Request
from iexec_worker.chain.transactions import receipts
from iexec_worker.chain.transactions.flight import Route
from iexec_worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.chain.transactions.queue import Job

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Blocks on top of a transaction's after which it stays: twice the deepest reorganisation that
#: chains of this kind are known for.
DEEP: Final = 6


@define(eq=False)
class Landed:
    """Looks, block by block, whether what was mined still is."""

    route: Route
    _jobs: list[Job] = field(factory=list)
    _some: trio.Event = field(factory=trio.Event)

    def add(self, job: Job) -> None:
        """Follow *job*; one without a receipt is from an earlier life and may not be mined yet."""
        self._jobs.append(job)
        self._some.set()

    async def follow(self, bring_back: Callable[[Job], Awaitable[None]]) -> NoReturn:
        """Follow for ever; *bring_back* sees to what is not mined (any more), and returns."""
        returning: set[Job] = set()

        async def handle(job: Job) -> None:
            await bring_back(job)
            returning.discard(job)
            self._jobs.remove(job)

        async with trio.open_nursery() as nursery:
            while True:
                while not self._jobs:
                    self._some = trio.Event()
                    await self._some.wait()
                for job in await self._lost([job for job in self._jobs if job not in returning]):
                    log.warning("mined no more, or not yet", call=str(job.call))
                    returning.add(job)
                    nursery.start_soon(handle, job)
                await self.route.tick()

    async def _lost(self, jobs: list[Job]) -> list[Job]:
        """Those that have to be mined again; the ones that need no more looks are forgotten."""
        try:
            found = [await self._receipt(job) for job in jobs]
        except WorkerError as error:
            log.debug("no look at mined transactions", reason=str(error))
            return []
        lost = []
        for job, receipt in zip(jobs, found, strict=True):
            if receipt is None or (job.receipt and not receipts.chain_receipt(receipt, job.call)):
                lost.append(job)
            elif self._is_deep(receipt):
                self._jobs.remove(job)
        return lost

    async def _receipt(self, job: Job) -> dict[str, Any] | None:
        requests = [Request("eth_getTransactionReceipt", (tx.tx_hash,)) for tx in job.versions]
        found: list[dict[str, Any] | None] = await self.route.provider.batch(requests)
        return next(filter(None, found), None)

    def _is_deep(self, receipt: dict[str, Any]) -> bool:
        latest = self.route.blocks.latest
        depth = latest.number - int(receipt["blockNumber"], 16) if latest else 0
        return depth >= DEEP
