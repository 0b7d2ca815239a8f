from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from iexec_worker.devpool.broker.sockjs import SockJsSettings
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.scheduler.settings import Periods, SchedulerSettings
from tests.devpool.conftest import CACHE
from tests.devpool.pool.member import Member

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


# What is found on-chain without being told would be a race with the tests that tell it.
PERIODS = attrs.evolve(Periods().scaled(0.02), unnotified_ongoing=300.0, unnotified=300.0)


@pytest.fixture
def options(tmp_path: Path) -> PoolOptions:
    return PoolOptions(
        cache=CACHE,
        folder=tmp_path / "pool",
        scheduler=SchedulerSettings(ask_period=0.1, periods=PERIODS),
        sockjs=SockJsSettings(heartbeat=0.5, expiry=1.0),
    )


@pytest.fixture
async def pool(options: PoolOptions) -> AsyncIterator[Pool]:
    async with open_pool(options) as pool:
        yield pool


@pytest.fixture
async def member(pool: Pool) -> AsyncIterator[Member]:
    async with Member.join(pool, 5) as member:
        yield member
