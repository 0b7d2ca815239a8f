"""Tasks that many tests look at: bought together and computed side by side by one worker."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field

from iexec_worker.devpool.changes import Changes
from iexec_worker.devpool.pool import open_pool
from tests.integration.hired import Agency, Hired
from tests.integration.shop import Ended, Order, Shop, quick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from iexec_worker.devpool.pool import Pool
    from tests.integration.house import House
    from tests.integration.shelf import Shelf

#: More than this machine may have processors: most of the apps here only wait.
SLOTS: Final = 4

#: Runs in the window of the worker's figures.
WINDOW: Final = 5

#: The slowest task waits for its pull or its time limit, and for a slot before; TEE tasks have
#: three containers each.
_LIMIT: Final = 100.0
_LIMIT_TRUSTED: Final = 300.0

#: Of a worker that has no time: the slow image would take 25 s, the stalled one for ever.
_HURRY: Final = {
    "IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT": "PT8S",
    "IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT": "PT8S",
    "IEXEC_WORKER_DOCKER_IMAGE_STALL_TIMEOUT": "PT3S",
    "IEXEC_WORKER_METRICS_WINDOW_SIZE": str(WINDOW),
    "IEXEC_DEVELOPER_LOGGER_ENABLED": "true",
}


@define(eq=False)
class Outcomes:
    """How the tasks of *pool* ended for *worker*."""

    pool: Pool
    shop: Shop
    agency: Agency
    worker: Hired
    shelf: Shelf
    _ended: dict[Order, Ended | Exception] = field(factory=dict)
    _changes: Changes = field(factory=Changes)

    async def run(self, orders: Iterable[Order]) -> None:
        """Buy everything at once; tasks that do not end well are for those who ask for them."""
        async with trio.open_nursery() as nursery:
            for order in orders:
                nursery.start_soon(self._compute, order)

    async def of(self, order: Order) -> Ended:
        """Wait for the task's end, and raise what kept it from ending."""

        def look() -> Ended | Exception | None:
            return self._ended.get(order)

        found: Ended | Exception = await self._changes.until(look)
        if isinstance(found, Ended):
            return found
        raise AssertionError(f"the task did not end: {found!r}") from found

    async def _compute(self, order: Order) -> None:
        try:
            self._ended[order] = await self._over(order)
        except Exception as error:  # noqa: BLE001  # for whoever asks for this task
            self._ended[order] = error
        self._changes.ring()

    async def _over(self, order: Order) -> Ended:
        bought = await self.shop.buy(order)
        with trio.fail_after(_LIMIT_TRUSTED if order.trusted else _LIMIT):
            return await self.shop.over(bought, self.worker.wallet)


@asynccontextmanager
async def open_outcomes(
    orders: Iterable[Order],
    engine_url: str,
    shelf: Shelf,
    folder: Path,
    house: House | None = None,
) -> AsyncIterator[Outcomes]:
    """Open a pool with one worker and have it compute *orders*, for TEE tasks in a *house*."""
    options = quick(folder / "pool")
    if house is not None:
        options = house.options(options)
    async with open_pool(options) as pool, trio.open_nursery() as nursery:
        if house is not None:
            house.furnish(pool)
        agency = Agency(pool, folder / "workers", engine_url, os.environ, nursery)
        variables = {**_HURRY, **shelf.log_ins, **(house.variables if house else {})}
        worker = await agency.start(variables, slots=SLOTS)
        shop = Shop(pool, engine_url, {**shelf.images, **(house.images if house else {})})
        outcomes = Outcomes(pool, shop, agency, worker, shelf)
        nursery.start_soon(outcomes.run, orders)
        try:
            yield outcomes
        finally:
            with trio.CancelScope(shield=True):
                await worker.dismiss()
        nursery.cancel_scope.cancel()
