from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import define

from iexec_worker.devpool.http.faults import Faults
from iexec_worker.devpool.http.record import Record
from iexec_worker.devpool.http.service import Service
from iexec_worker.devpool.scheduler.app import make_app
from iexec_worker.devpool.scheduler.scheduler import Scheduler
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from tests.devpool.scheduler.fakes import Desk, FakeChain, FakeResults, FakeSms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio
    from quart_trio import QuartTrio


@pytest.fixture
def settings() -> SchedulerSettings:
    return SchedulerSettings(ask_period=0.0, block_time=0.01)


@define(eq=False)
class Current:
    """Stands for the scheduler of the test that runs, in routes that outlive it."""

    scheduler: Scheduler | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.scheduler, name)


@pytest.fixture(scope="session")
def current() -> Current:
    return Current()


@pytest.fixture(scope="session")
def app(current: Current) -> QuartTrio:
    """The scheduler's app. To make it, with its routes, takes longer than most tests of it."""
    scheduler: Any = current
    return make_app(scheduler)


@pytest.fixture
async def desk(
    settings: SchedulerSettings, nursery: trio.Nursery, app: QuartTrio, current: Current
) -> AsyncIterator[Desk]:
    chain, results, sms, record = FakeChain(), FakeResults(), FakeSms(), Record()
    scheduler = Scheduler(settings=settings, chain=chain, results=results, record=record, sms=sms)
    await nursery.start(scheduler.run)
    current.scheduler = scheduler
    service = Service("scheduler", app, Faults(), record)
    port = await nursery.start(service.run)
    url = f"http://127.0.0.1:{port}"
    # Loading certificates, of which these tests need none, would take most of their time.
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=10) as client:
        yield Desk(scheduler, chain, results, sms, client)
