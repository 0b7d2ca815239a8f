"""Moments in the life of a replicate at which a test can do harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from iexec_worker.model import ContributionStatus
from iexec_worker.wire import Status
from tests.looking import until

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Hired


async def computing(pool: Pool, worker: Hired, task_id: str) -> None:
    """Wait until the app's container is there."""

    async def runs() -> bool:
        return bool(await trio.to_thread.run_sync(worker.containers, task_id))

    await pool.record.until_told(task_id, Status.COMPUTING, worker.wallet)
    await until(runs)


async def computed(pool: Pool, worker: Hired, task_id: str) -> None:
    """Wait until the pool knows that it has computed."""
    await pool.record.until_told(task_id, Status.COMPUTED, worker.wallet)


async def mined(pool: Pool, worker: Hired, task_id: str) -> None:
    """Wait until its contribution is on-chain, and keep the news of it from the pool."""
    await pool.record.until_told(task_id, Status.CONTRIBUTING, worker.wallet)
    # The next status is CONTRIBUTED, and it is told once the contribution is mined.
    news = pool.faults.on("POST /replicates/*/updateStatus").hang(times=1)
    await news.hit()
    found = await pool.chain.contribution(task_id, worker.wallet)
    assert found.status is ContributionStatus.CONTRIBUTED


async def contributed(pool: Pool, worker: Hired, task_id: str) -> None:
    """Wait until the pool knows of its contribution."""
    await pool.record.until_told(task_id, Status.CONTRIBUTED, worker.wallet)
