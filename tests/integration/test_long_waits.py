"""
Faults that take their time: constants of the protocol cannot be made shorter for a test.

Each has a pool and a worker of its own, and all of them wait side by side.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import frozen

from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.wire import Action, Status
from tests.integration.hired import Agency, Hired
from tests.integration.moments import computing
from tests.integration.shop import Ended, Order, Shop, quick
from tests.looking import until
from tests.samples import TO_COMPLETED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.backstage import Backstage

#: The longest takes 70 s, and all of them start at once.
LIMIT: Final = 200

# The first of these tests waits for them all.
pytestmark = pytest.mark.timeout(LIMIT + 30)

#: So many tasks compute at once.
SLOTS: Final = 3

LOGIN: Final = "POST /workers/login"
LINKS: Final = "POST /connect/*/xhr_streaming"
REGISTER: Final = "POST /workers/register"
PING: Final = "POST /workers/ping"

#: Seconds between two pings, at most: a busy machine, with a worker for each scene, delays some.
APART: Final = 14.0


@frozen
class Scene:
    """A pool and its only worker, which has registered."""

    pool: Pool
    shop: Shop
    worker: Hired

    async def over(self, order: Order, fault: Callable[[str], Awaitable[object]]) -> Ended:
        """Buy a task, do *fault* while it computes, and wait for its end."""
        bought = await self.shop.buy(order)
        await computing(self.pool, self.worker, bought.task_id)
        await fault(bought.task_id)
        return await self.shop.over(bought, self.worker.wallet)

    async def doing(self, text: str) -> None:
        """Wait until some part of the worker says that it does *text*."""

        async def said() -> bool:
            return text in str(await self.worker.process.supervision())

        await until(said, limit=60)

    def registered(self) -> int:
        """How often the worker has registered."""
        return len(self.pool.record.calls(REGISTER))


@frozen
class Outcome:
    """The end of a task, and what else there is to say of its scene."""

    ended: Ended
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


async def late_answer(scene: Scene) -> Outcome:
    async def fault(task_id: str) -> None:
        endpoint = f"POST /replicates/{task_id}/updateStatus"
        scene.pool.faults.on(endpoint).delay_answer(70, times=1)

    ended = await scene.over(Order("sleep=1"), fault)
    return Outcome(ended, _between(ended, Status.COMPUTED, Status.CONTRIBUTING))


async def lost_notification(scene: Scene) -> Outcome:
    async def fault(task_id: str) -> None:
        scene.pool.notifications.drop(Action.PLEASE_REVEAL)

    ended = await scene.over(Order("sleep=1"), fault)
    return Outcome(ended, _between(ended, Status.CONTRIBUTED, Status.REVEALING))


async def silent_link(scene: Scene) -> Outcome:
    record = scene.pool.record

    async def fault(task_id: str) -> None:
        before = len(record.calls(LINKS))
        scene.pool.sockjs.silent = True
        await record.until_called(LINKS, before + 1)
        scene.pool.sockjs.silent = False

    ended = await scene.over(Order("sleep=1"), fault)
    notes = tuple(str(e.get("reason")) for e in scene.worker.events() if e["event"] == "failed")
    return Outcome(ended, _between(ended, Status.CONTRIBUTED, Status.REVEALING), notes)


async def other_configuration_while_idle(scene: Scene) -> Outcome:
    await scene.worker.ready()
    await scene.pool.restart_scheduler(same_config=False)
    await scene.pool.record.until_called(REGISTER, 2)
    bought = await scene.shop.buy(Order())
    ended = await scene.shop.over(bought, scene.worker.wallet)
    return Outcome(ended, notes=(str(scene.registered()),))


async def other_configuration_while_computing(scene: Scene) -> Outcome:
    notes: list[str] = []

    async def fault(task_id: str) -> None:
        await scene.pool.restart_scheduler(same_config=False)
        await scene.doing("new configuration waits for 1 computing tasks")
        running = await trio.to_thread.run_sync(scene.worker.containers, task_id)
        notes.append(f"{len(running)} running, registered {scene.registered()}")

    ended = await scene.over(Order("sleep=14"), fault)
    await scene.pool.record.until_called(REGISTER, 2)
    await scene.worker.ready()
    again = await scene.shop.over(await scene.shop.buy(Order("again")), scene.worker.wallet)
    again.completed()
    return Outcome(ended, notes=tuple(notes))


async def lost_scheduler(scene: Scene) -> Outcome:
    notes: list[str] = []

    async def fault(task_id: str) -> None:
        async with scene.pool.services.scheduler.front.offline():

            async def lost() -> bool:
                health = await scene.worker.get("/actuator/health/readiness?details=true")
                component = str(health.json()["components"]["scheduler"])
                # The link, which is cut at once, makes it unready before that.
                if health.status_code != 503 or "the scheduler is lost" not in component:
                    return False
                notes.append(component)
                return True

            await until(lost, limit=60)
            notes.append(str((await scene.worker.get("/actuator/health")).status_code))

    ended = await scene.over(Order("sleep=5"), fault)
    return Outcome(ended, notes=tuple(notes))


async def held_updates(scene: Scene) -> Outcome:
    """All tasks end their computing while the scheduler is lost, and has forgotten our token."""
    pool, worker = scene.pool, scene.worker
    bought = [await scene.shop.buy(Order(f"{n} sleep={n}")) for n in range(5, 5 + SLOTS)]
    for one in bought:
        await computing(pool, worker, one.task_id)
    async with pool.services.scheduler.front.offline():
        for one in bought:
            await until(partial(_computed, worker, one.task_id), limit=30)
        await scene.doing("the scheduler is lost")
        pool.scheduler.process.memory.tokens.forget()
        before = len(pool.record.exchanges)
    ended = [await scene.shop.over(one, worker.wallet) for one in bought]
    for each in ended:
        each.completed()
    after = pool.record.exchanges[before:]
    steps = (LOGIN, REGISTER, LINKS, "POST /replicates/*/updateStatus")
    began = [next(n for n, call in enumerate(after) if call.matches(step)) for step in steps]
    notes = [f"in order: {began == sorted(began)}"]
    notes += [
        f"{[told.code for told in one.updates]} {one.told == [*TO_COMPLETED]}" for one in ended
    ]
    return Outcome(ended[0], notes=tuple(notes))


async def drain(scene: Scene) -> Outcome:
    """A worker that is told to end while an app has half a minute to go: it stays until then."""
    record, worker = scene.pool.record, scene.worker
    pinged: list[int] = []

    async def fault(task_id: str) -> None:
        worker.expendable = True
        pinged.append(len(record.calls(PING)))
        worker.process.child.process.send_signal(signal.SIGTERM)

    ended = await scene.over(Order("sleep=30"), fault)
    status = await worker.process.child.process.wait()
    pings = [call.at for call in record.calls(PING)[pinged[0] - 1 :]]
    computed = ended.update(Status.COMPUTED).at
    until_computed = [at for at in pings if at < computed]
    apart = max(b - a for a, b in pairwise([*until_computed, computed]))
    notes = (f"exit status {status}", str(len(until_computed) - 1))
    return Outcome(ended, apart, notes)


async def _computed(worker: Hired, task_id: str) -> bool:
    return not await trio.to_thread.run_sync(worker.containers, task_id)


SCENES: Final = (
    held_updates,
    late_answer,
    lost_notification,
    silent_link,
    other_configuration_while_idle,
    other_configuration_while_computing,
    lost_scheduler,
    drain,
)

Outcomes = dict[str, Outcome | Exception]


async def play(
    scene: Callable[[Scene], Awaitable[Outcome]], folder: Path, engine_url: str, image: str
) -> Outcome:
    """Give one scene what it needs."""
    async with open_pool(quick(folder / "pool")) as pool, trio.open_nursery() as nursery:
        agency = Agency(pool, folder / "workers", engine_url, os.environ, nursery)
        try:
            worker = await agency.start(slots=SLOTS)
            await worker.registered(pool)
            outcome = await scene(Scene(pool, Shop(pool, engine_url, {"demo": image}), worker))
            await agency.check()
        finally:
            with trio.CancelScope(shield=True):
                for hired in agency.hired:
                    await hired.dismiss()
    return outcome


async def play_all(folder: Path, engine_url: str, image: str) -> Outcomes:
    """Play all scenes side by side."""
    outcomes: Outcomes = {}

    async def one(scene: Callable[[Scene], Awaitable[Outcome]]) -> None:
        try:
            with trio.fail_after(LIMIT):
                outcomes[scene.__name__] = await play(
                    scene, folder / scene.__name__, engine_url, image
                )
        except Exception as error:  # noqa: BLE001 - raised in the test whose scene it is
            outcomes[scene.__name__] = error

    async with trio.open_nursery() as nursery:
        for scene in SCENES:
            nursery.start_soon(one, scene)
    return outcomes


@pytest.fixture(scope="module")
def outcomes(
    stage: Backstage,
    engine_url: str,
    app_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcomes:
    played: Outcomes = stage.run(
        play_all, tmp_path_factory.mktemp("long-waits"), engine_url, app_image
    )
    return played


def outcome(outcomes: Outcomes, scene: Callable[[Scene], Awaitable[Outcome]]) -> Outcome:
    """The outcome of *scene*, whose task was completed as if nothing had been wrong."""
    found = outcomes[scene.__name__]
    if isinstance(found, Exception):
        raise found
    found.ended.completed()
    assert found.ended.told[-1] is Status.COMPLETED
    assert len(set(found.ended.told)) == len(found.ended.told)
    return found


def _between(ended: Ended, first: Status, second: Status) -> float:
    """Seconds between two updates' answers."""
    return ended.update(second).at - ended.update(first).at


def test_an_update_that_is_answered_after_70_seconds_is_waited_for(outcomes: Outcomes) -> None:
    found = outcome(outcomes, late_answer)

    assert 69 < found.seconds < 80
    # Told once: neither refused nor known before.
    assert {update.code for update in found.ended.updates} == {200}


def test_without_please_reveal_the_chain_is_read_after_half_a_minute(outcomes: Outcomes) -> None:
    found = outcome(outcomes, lost_notification)

    assert 25 < found.seconds < 45


def test_a_link_that_falls_silent_is_given_up_after_15_seconds(outcomes: Outcomes) -> None:
    found = outcome(outcomes, silent_link)

    assert any("not even a heartbeat" in note for note in found.notes)
    # By the new link, not by the chain half a minute later.
    assert found.seconds < 28


def test_an_idle_worker_joins_again_when_the_pool_has_another_configuration(
    outcomes: Outcomes,
) -> None:
    assert outcome(outcomes, other_configuration_while_idle).notes == ("2",)


def test_a_computing_worker_joins_again_when_it_has_computed(outcomes: Outcomes) -> None:
    found = outcome(outcomes, other_configuration_while_computing)

    assert found.notes == ("1 running, registered 1",)


def test_a_lost_scheduler_makes_a_worker_unready_and_costs_no_task(outcomes: Outcomes) -> None:
    component, health = outcome(outcomes, lost_scheduler).notes

    assert "the scheduler is lost" in component
    assert health == "200"


def test_what_was_computed_while_the_scheduler_was_lost_is_told_afterwards_once_and_in_order(
    outcomes: Outcomes,
) -> None:
    order, *tasks = outcome(outcomes, held_updates).notes

    assert order == "in order: True"
    assert tasks == [f"{[200] * len(TO_COMPLETED)} True"] * SLOTS


def test_a_worker_that_drains_keeps_pinging_until_its_task_has_ended(outcomes: Outcomes) -> None:
    found = outcome(outcomes, drain)

    assert found.notes[0] == "exit status 0"
    assert int(found.notes[1]) >= 2
    assert found.seconds <= APART
