"""
Real workers in processes of their own, in an embedded pool, on a real engine and registry.

Tests of faults get a `pool` of their own and start workers in it with `agency.start(...)`; tests
of how tasks end share one (`ended`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.registry import Registry, registry
from iexec_worker.devpool.tee.kit import Kit, open_kit
from iexec_worker.model import TeeFramework
from tests.integration.hired import Agency
from tests.integration.house import House, Site, open_house
from tests.integration.outcomes import Outcomes, open_outcomes
from tests.integration.shelf import Shelf, stock
from tests.integration.shop import Ended, Order, Shop, quick

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from pathlib import Path

    from iexec_worker.devpool.options import PoolOptions
    from tests.backstage import Backstage

#: Of a worker's log this many last events are shown when a test fails.
_TAIL: Final = 60

_AGENCY: Final = pytest.StashKey[Agency]()
_TASK: Final = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "buys(*orders): the tasks of `ended`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(trio.Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.node)
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of a failed test's workers."""
    agency = item.stash.get(_AGENCY, None)
    if agency is not None and call.excinfo is not None:
        for worker in agency.hired:
            story = worker.story(_TAIL, item.stash.get(_TASK, None))
            item.add_report_section(call.when, f"log of {worker.place.name}", story)
    return (yield)


@pytest.fixture(scope="session")
def open_registry(stage: Backstage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for everybody."""
    with stage.hold(registry(tmp_path_factory.mktemp("registry"))) as running:
        yield running


@pytest.fixture(scope="session")
def app_image(stage: Backstage, engine_url: str, open_registry: Registry) -> Iterator[str]:
    """The app that does what its arguments say (`devpool/app.sh`), in the open registry."""
    image = f"{open_registry.address}/demo:1"
    stage.run(images.build, engine_url, image, images.demo_app())
    stage.run(images.push, engine_url, image)
    yield image
    stage.run(images.remove, engine_url, image)


@pytest.fixture(scope="session")
def shelf(
    stage: Backstage,
    engine_url: str,
    app_image: str,
    open_registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shelf]:
    """Images of all kinds."""
    with stage.hold(stock(engine_url, open_registry, tmp_path_factory.mktemp("shelf"))) as made:
        yield made


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest,
    stage: Backstage,
    engine_url: str,
    shelf: Shelf,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Outcomes]:
    """What became of the tasks of all tests that run: they are computed side by side."""
    folder = tmp_path_factory.mktemp("outcomes")
    orders = _all_bought(request.session, trusted=False)
    with stage.hold(open_outcomes(orders, engine_url, shelf, folder)) as running:
        yield running


@pytest.fixture(scope="session")
def kit(
    stage: Backstage,
    engine_url: str,
    open_registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Kit]:
    """What a machine has that takes TEE tasks, and the images that they take."""
    folder, everything = tmp_path_factory.mktemp("kit"), frozenset(TeeFramework)
    with stage.hold(open_kit(engine_url, open_registry, folder, everything)) as opened:
        yield opened


@pytest.fixture(scope="session")
def trusted_outcomes(
    *,
    request: pytest.FixtureRequest,
    stage: Backstage,
    engine_url: str,
    shelf: Shelf,
    kit: Kit,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Outcomes]:
    """What became of the TEE tasks, in a pool and with a worker of their own."""
    folder = tmp_path_factory.mktemp("trusted")
    orders = _all_bought(request.session, trusted=True)
    with (
        stage.hold(open_house(engine_url, kit)) as opened,
        stage.hold(open_outcomes(orders, engine_url, shelf, folder, opened)) as running,
    ):
        yield running


@pytest.fixture
def ended(request: pytest.FixtureRequest, stage: Backstage) -> Iterator[Ended]:
    """
    How the (first) task that the test is marked with ended; `buys` says what it buys.

    Nothing of the task may be left then, and the worker must be well.
    """
    order = _bought_by(request.node)[0]
    outcomes: Outcomes = request.getfixturevalue(
        "trusted_outcomes" if order.trusted else "outcomes"
    )
    request.node.stash[_AGENCY] = outcomes.agency
    found = stage.run(outcomes.of, order)
    request.node.stash[_TASK] = found.bought.task_id
    yield found
    worker = outcomes.worker
    stage.run(worker.tidy, found.bought.task_id)
    assert worker.process.ended is None
    assert worker.errors() == []


@pytest.fixture
def all_ended(request: pytest.FixtureRequest, stage: Backstage, outcomes: Outcomes) -> list[Ended]:
    """The ends of all standard tasks that any test of this session is marked with."""
    return [stage.run(outcomes.of, order) for order in _all_bought(request.session, trusted=False)]


def _all_bought(session: pytest.Session, *, trusted: bool) -> list[Order]:
    bought = (order for item in session.items for order in _bought_by(item))
    return list(dict.fromkeys(order for order in bought if bool(order.trusted) is trusted))


def _bought_by(item: pytest.Item) -> tuple[Order, ...]:
    marker = item.get_closest_marker("buys")
    return marker.args if marker else ()


@pytest.fixture
def options(tmp_path: Path) -> PoolOptions:
    """The options of `pool`; a test or folder that needs others overrides this."""
    return quick(tmp_path / "pool")


@pytest.fixture
async def pool(options: PoolOptions) -> AsyncIterator[Pool]:
    """A pool for one test: its faults, clocks and restarts are nobody else's."""
    async with open_pool(options) as running:
        yield running


@pytest.fixture
async def shop(pool: Pool, engine_url: str, app_image: str) -> Shop:
    """Buys tasks of `pool`."""
    return Shop(pool, engine_url, {"demo": app_image})


@pytest.fixture
async def house(engine_url: str, kit: Kit) -> AsyncIterator[House]:
    """A place for one worker of TEE tasks."""
    async with open_house(engine_url, kit) as opened:
        yield opened


@pytest.fixture
async def site(pool: Pool, engine_url: str, house: House, agency: Agency) -> Site:
    """A pool with SMS, for which `options` have to be the house's, and workers for TEE tasks."""
    house.furnish(pool)
    return Site(pool, Shop(pool, engine_url, house.images), agency, house)


@pytest.fixture
async def agency(
    request: pytest.FixtureRequest, pool: Pool, engine_url: str, tmp_path: Path
) -> AsyncIterator[Agency]:
    """
    Starts workers of `pool`.

    At the end of the test those that it did not end itself must be alive, with nothing left of
    their tasks, and no ERROR in their logs unless the test is marked `logs_errors`.
    """
    async with trio.open_nursery() as nursery:
        agency = Agency(pool, tmp_path / "workers", engine_url, os.environ, nursery)
        request.node.stash[_AGENCY] = agency
        try:
            yield agency
            await agency.check(errors_expected=bool(request.node.get_closest_marker("logs_errors")))
        finally:
            with trio.CancelScope(shield=True):
                for worker in agency.hired:
                    await worker.dismiss()
