"""
The heartbeat never waits: whatever else hangs, the pool hears from the worker every 10 s.

Each kind of trouble has a pool and a worker of its own, and all of them wait side by side. That
the machine is loaded by that is part of the measurement.
"""

from __future__ import annotations

import math
import os
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import define, field, frozen

from iexec_worker.devpool import images
from iexec_worker.devpool.chaos.disk import fill, small_disk
from iexec_worker.devpool.chaos.dockerd import returning_engine
from iexec_worker.devpool.chaos.line import Plan
from iexec_worker.devpool.chaos.processes import frozen as frozen_process
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.model import ContributionStatus
from iexec_worker.wire import Cause, Status
from tests.integration.evidence import digest_of
from tests.integration.hired import Agency, Hired
from tests.integration.line import Line
from tests.integration.moments import computing
from tests.integration.shop import Order, Shop, quick
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from iexec_worker.devpool.registry import Registry
    from tests.backstage import Backstage
    from tests.integration.shop import Bought, Ended

LIMIT: Final = 150

# The first of these tests waits for them all.
pytestmark = pytest.mark.timeout(LIMIT + 30)

PING: Final = "POST /workers/ping"

#: Pings that are seen while the trouble lasts, and the seconds that may be between two of them.
PINGS: Final = 4
APART: Final = 11.0

PULLS: Final = 16

#: Why a task has failed for want of room: no archive of the result, or half a result.
SPOILT: Final = {
    Cause.POST_COMPUTE_OUT_FOLDER_ZIP_FAILED,
    Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED,
    Cause.POST_COMPUTE_COMPUTED_FILE_NOT_FOUND,
}


@frozen
class Scene:
    """A pool and its only worker, which has registered."""

    pool: Pool
    shop: Shop
    worker: Hired

    async def computes(self, order: Order) -> Bought:
        """Buy a task and wait until it computes."""
        bought = await self.shop.buy(order)
        await computing(self.pool, self.worker, bought.task_id)
        return bought

    async def longest_silence(self) -> float:
        """The most seconds between two pings, from the last one before now on."""
        before = len(self.pool.record.calls(PING))
        with trio.fail_after(PINGS * 2 * APART):
            await self.pool.record.until_called(PING, before + PINGS)
        pings = self.pool.record.calls(PING)[before - 1 :]
        return max(after.at - ping.at for ping, after in pairwise(pings))

    async def completes(self, order: Order) -> bool:
        """Buy one more task; True when it was completed."""
        bought = await self.shop.buy(order)
        ended = await self.shop.over(bought, self.worker.wallet)
        return ended.told[-1] is Status.COMPLETED

    async def over(self, *bought: Bought) -> tuple[Ended, ...]:
        """Wait for the end of tasks."""
        return tuple([await self.shop.over(one, self.worker.wallet) for one in bought])


@frozen
class Stage:
    """What scenes are made of. *stalled*: a line on which pulls of *large* stall."""

    folder: Path
    engine_url: str
    image: str
    large: str
    stalled: Line

    @asynccontextmanager
    async def scene(
        self, name: str, *, engine_url: str = "", slots: int = 1, tiny_disk: bool = False
    ) -> AsyncIterator[Scene]:
        """Open a pool and have a worker join it; in the end the worker must be well and tidy."""
        folder, url = self.folder / name, engine_url or self.engine_url
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(quick(folder / "pool")))
            nursery = await stack.enter_async_context(trio.open_nursery())
            agency = Agency(pool, folder / "workers", url, os.environ, nursery)
            place = await agency.place(slots, {"IEXEC_WORKER_MIN_FREE_DISK_GB": "0"})
            if tiny_disk:
                await stack.enter_async_context(small_disk(place.folder / "tasks"))
            stack.push_async_callback(_dismiss, agency)
            worker = await agency.start(again=place)
            await worker.registered(pool)
            yield Scene(pool, Shop(pool, url, {"demo": self.image, "large": self.large}), worker)
            await agency.check(errors_expected=tiny_disk)


async def _dismiss(agency: Agency) -> None:
    with trio.CancelScope(shield=True):
        for worker in agency.hired:
            await worker.dismiss()


@frozen
class Outcome:
    """
    The longest silence in the trouble, how the tasks in it ended, whether one after it completed.
    """

    silence: float
    inside: tuple[Ended, ...]
    afterwards: bool

    @property
    def completed(self) -> bool:
        """True iff the trouble did no harm to any task."""
        inside = all(one.told[-1] is Status.COMPLETED for one in self.inside)
        return inside and self.afterwards


async def stalled_pulls(stage: Stage) -> Outcome:
    async with stage.scene("pulls", slots=PULLS) as scene:
        bought = [await scene.shop.buy(Order(str(n), image="large")) for n in range(PULLS)]
        for one in bought:
            await scene.pool.record.until_told(one.task_id, Status.APP_DOWNLOADING)
        silence = await scene.longest_silence()
        told = {one.task_id: scene.pool.record.statuses(one.task_id)[-1] for one in bought}
        assert set(told.values()) == {Status.APP_DOWNLOADING}
        await stage.stalled.move()
        return Outcome(silence, await scene.over(*bought), await scene.completes(Order()))


async def frozen_engine(stage: Stage) -> Outcome:
    async with (
        returning_engine(stage.folder / "engine", live_restore=False) as engine,
        stage.scene("frozen", engine_url=engine.host) as scene,
    ):
        bought = await scene.computes(Order("sleep=5"))
        assert engine.daemon is not None
        with frozen_process(engine.daemon.process.pid):
            silence = await scene.longest_silence()
        return Outcome(silence, await scene.over(bought), await scene.completes(Order()))


async def full_disk(stage: Stage) -> Outcome:
    async with stage.scene("disk", tiny_disk=True) as scene:
        disk = scene.worker.place.folder / "tasks"

        async def full() -> bool:
            return shutil.disk_usage(disk).free == 0

        bought = await scene.computes(Order("sleep=5"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fill, disk, math.inf)
            await until(full)
            silence = await scene.longest_silence()
            nursery.cancel_scope.cancel()
        return Outcome(silence, await scene.over(bought), await scene.completes(Order()))


async def slow_node(stage: Stage) -> Outcome:
    async with stage.scene("node") as scene:
        bought = await scene.computes(Order("sleep=5"))
        line = scene.pool.services.node.proxy
        # There and back: an answer takes 30 s.
        line.set(Plan(latency=15))
        silence = await scene.longest_silence()
        line.set(Plan())
        return Outcome(silence, await scene.over(bought), await scene.completes(Order()))


SCENES: Final = (stalled_pulls, frozen_engine, full_disk, slow_node)


@define(eq=False)
class Outcomes:
    """How the scenes went that were played."""

    found: dict[str, Outcome | Exception] = field(factory=dict)

    async def play(self, scene: Callable[[Stage], Awaitable[Outcome]], stage: Stage) -> None:
        """Play one of them."""
        try:
            with trio.fail_after(LIMIT):
                self.found[scene.__name__] = await scene(stage)
        except Exception as error:  # noqa: BLE001 - raised in the test whose scene it is
            self.found[scene.__name__] = error

    def of(self, scene: Callable[[Stage], Awaitable[Outcome]]) -> Outcome:
        """The outcome of *scene*; raises what it raised."""
        outcome = self.found[scene.__name__]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def play_all(folder: Path, engine_url: str, image: str, registry: Registry) -> Outcomes:
    """Play all scenes side by side."""
    outcomes = Outcomes()
    large = f"{registry.address}/isolation:1"
    async with trio.open_nursery() as nursery:
        await images.build(engine_url, large, images.demo_app(ballast=1_000_000))
        await images.push(engine_url, large)
        await images.remove(engine_url, large)
        line: Line = await nursery.start(Line(registry.port, 0).run)
        through = f"127.0.0.1:{line.port}/isolation:1"
        stage = Stage(folder, engine_url, image, through, line)
        async with trio.open_nursery() as scenes:
            for scene in SCENES:
                scenes.start_soon(outcomes.play, scene, stage)
        await images.remove(engine_url, through)
        nursery.cancel_scope.cancel()
    return outcomes


@pytest.fixture(scope="module")
def outcomes(
    stage: Backstage,
    engine_url: str,
    app_image: str,
    open_registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcomes:
    folder = tmp_path_factory.mktemp("isolation")
    played: Outcomes = stage.run(play_all, folder, engine_url, app_image, open_registry)
    return played


def test_sixteen_pulls_that_stall_do_not_delay_a_ping(outcomes: Outcomes) -> None:
    found = outcomes.of(stalled_pulls)
    assert found.silence <= APART
    assert found.completed


def test_a_frozen_engine_does_not_delay_a_ping(outcomes: Outcomes) -> None:
    found = outcomes.of(frozen_engine)
    assert found.silence <= APART
    assert found.completed


def test_a_full_disk_does_not_delay_a_ping(outcomes: Outcomes) -> None:
    found = outcomes.of(full_disk)
    assert found.silence <= APART
    assert found.afterwards
    (spoilt,) = found.inside
    if Status.COMPUTED in spoilt.told:
        # There was room for its few bytes, freed by others: then none of them may be missing.
        assert spoilt.told[-1] is Status.COMPLETED
        assert spoilt.files["result.txt"] == b"task index: 0 of 1\nargument: [sleep=5]\n"
        assert spoilt.onchain.result_digest == digest_of(spoilt.files)
        return
    # An app that cannot write its result has failed, whatever its exit status, and that is told.
    assert spoilt.told[-2:] == [Status.COMPUTE_FAILED, Status.ABORTED]
    assert spoilt.cause(Status.COMPUTE_FAILED) in SPOILT
    assert spoilt.contribution.status is ContributionStatus.UNSET


def test_a_node_that_answers_after_thirty_seconds_does_not_delay_a_ping(
    outcomes: Outcomes,
) -> None:
    found = outcomes.of(slow_node)
    assert found.silence <= APART
    assert found.completed
