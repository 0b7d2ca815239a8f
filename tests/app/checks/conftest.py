from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import frozen

from iexec_worker.app.checks.run import check
from iexec_worker.config import load
from iexec_worker.devpool import wallets
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from tests.cached import CACHE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.app.checks.finding import Finding


#: The chain asks for gas, other than that of most embedded pools.
SETTINGS: Final = SchedulerSettings(sidechain=False)


@frozen
class Applicant:
    """Somebody who wants to join *pool* and checks first; no engine is at *environ*'s."""

    pool: Pool
    wallet: wallets.Wallet
    environ: dict[str, str]

    async def check(self, *, limit: float = 10.0, **changes: str) -> dict[str, Finding]:
        """All findings by name."""
        config = load(self.environ | changes, cpu_count=2).config
        found: list[Finding] = []
        with trio.fail_after(20):
            await check(config, found.append, limit=limit)
        return {finding.name: finding for finding in found}


@pytest.fixture
async def applicant(tmp_path: Path) -> AsyncIterator[Applicant]:
    options = PoolOptions(cache=CACHE, folder=tmp_path / "pool", scheduler=SETTINGS)
    async with open_pool(options) as pool:
        wallet = await wallets.make(tmp_path, "wallet")
        await wallets.fund(pool.market, wallet)
        nobody = {
            "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
            "IEXEC_WORKER_BASE_DIR": str(tmp_path / "tasks"),
        }
        yield Applicant(pool, wallet, pool.environment(wallet.path, wallet.password) | nobody)
