"""SIGTERM: no new work, what runs is ended or, in the end, parked. SIGINT: at once."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from attrs import define, field

from tests.integration.moments import computing, contributed
from tests.integration.shop import Order
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Shop

LIMIT: Final = 40

#: A second is all the time that tasks have to end.
IMPATIENT: Final = {"IEXEC_WORKER_DRAIN_TIMEOUT": "PT1S"}


async def _send(worker: Hired, number: signal.Signals) -> None:
    worker.expendable = True
    worker.process.child.process.send_signal(number)


def _said(worker: Hired, event: str) -> list[dict[str, Any]]:
    return [e for e in worker.events() if e["event"].startswith(event)]


async def test_sigterm_ends_the_running_task_and_takes_no_other(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start(slots=2)
        bought = await shop.buy(Order("sleep=3"))
        await computing(pool, worker, bought.task_id)
        await worker.ready()
        await _send(worker, signal.SIGTERM)

        async def draining() -> bool:
            answer = await worker.get("/actuator/health/readiness?details=true")
            return answer.status_code == 503 and "draining" in answer.json()["components"]

        await until(draining)
        # Restarting what is about to end well would help nobody.
        assert (await worker.get("/actuator/health")).status_code == 200
        another = await shop.buy(Order("another"))
        asked = len(pool.record.calls("GET /replicates/available"))
        ended = await shop.over(bought, worker.wallet)
        assert await worker.process.child.process.wait() == 0

    ended.completed()
    assert pool.record.updates(another.task_id) == []
    # One question may have been under way.
    assert len(pool.record.calls("GET /replicates/available")) <= asked + 1
    assert worker.task_folders() == set()
    assert worker.containers() == []


async def test_an_idle_worker_ends_at_once_on_sigterm(pool: Pool, agency: Agency) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        await worker.ready()
        await _send(worker, signal.SIGTERM)
        with trio.fail_after(5):
            assert await worker.process.child.process.wait() == 0


async def test_sigint_stops_at_once_and_the_next_life_goes_on(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        bought = await shop.buy(Order("sleep=5"))
        await computing(pool, worker, bought.task_id)
        await _send(worker, signal.SIGINT)
        with trio.fail_after(5):
            await worker.process.child.process.wait()
        assert worker.containers() == []
        # The task is not given up: its journal is there.
        assert worker.task_folders() == {bought.task_id}
        again = await agency.start(again=worker.place)
        ended = await shop.over(bought, again.wallet)

    ended.completed()


async def test_what_a_drain_has_no_time_for_runs_on_and_is_met_again(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(2 * LIMIT):
        worker = await agency.start(IMPATIENT)
        # Longer than a start takes where all processors are busy.
        bought = await shop.buy(Order("sleep=15"))
        await computing(pool, worker, bought.task_id)
        await _send(worker, signal.SIGTERM)
        with trio.fail_after(6):
            assert await worker.process.child.process.wait() == 0
        assert len(worker.containers(bought.task_id)) == 1
        (parked,) = _said(worker, "parked")
        assert parked["task"] == bought.task_id
        assert _said(worker, "container left running")
        again = await agency.start(again=worker.place)
        ended = await shop.over(bought, again.wallet)
    ended.completed()
    assert _said(again, "begun already")


@pytest.mark.logs_errors
async def test_a_drain_says_loudly_that_a_contribution_still_has_to_be_revealed(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start(IMPATIENT)
        # One contribution alone is no consensus here.
        bought = await shop.buy(Order(trust=5))
        await contributed(pool, worker, bought.task_id)
        await _send(worker, signal.SIGTERM)
        assert await worker.process.child.process.wait() == 0
    (parked,) = _said(worker, "parked with a contribution")
    assert (parked["level"], parked["task"]) == ("error", bought.task_id)
    assert "start the worker again" in parked["next_step"]
    assert worker.task_folders() == {bought.task_id}


async def test_systemd_hears_of_a_real_worker_from_start_to_end(
    pool: Pool, agency: Agency, tmp_path: Path
) -> None:
    heard: list[str] = []
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as socket:
        await socket.bind(str(tmp_path / "notify"))

        async def hears(word: str) -> None:
            while not any(word in line for line in heard):
                heard.extend((await socket.recv(4096)).decode().splitlines())

        with trio.fail_after(LIMIT):
            told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
            worker = await agency.start(told)
            await hears("STATUS=member of the pool")
            await hears("WATCHDOG=1")
            await _send(worker, signal.SIGTERM)
            await hears("STOPPING=1")
            assert await worker.process.child.process.wait() == 0
    assert heard[0] == "READY=1"


async def test_a_second_sigterm_stops_at_once(pool: Pool, agency: Agency, shop: Shop) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        bought = await shop.buy(Order("sleep=30"))
        await computing(pool, worker, bought.task_id)
        await _send(worker, signal.SIGTERM)

        async def draining() -> bool:
            return bool(_said(worker, "draining"))

        await until(draining)
        await _send(worker, signal.SIGTERM)
        with trio.fail_after(5):
            assert await worker.process.child.process.wait() == 0
    assert worker.containers() == []
    assert worker.task_folders() == {bought.task_id}


@define(eq=False)
class Glass:
    """A way to the engine on which everything can stand still, as with an engine that is frozen."""

    engine: str
    path: Path
    _moving: trio.Event = field(factory=trio.Event)

    def freeze(self) -> None:
        self._moving = trio.Event()

    def thaw(self) -> None:
        self._moving.set()

    @asynccontextmanager
    async def there(self) -> AsyncIterator[str]:
        """Be there; yields the DOCKER_HOST that goes through it."""
        self.thaw()
        socket = trio.socket.socket(trio.socket.AF_UNIX)
        await socket.bind(str(self.path))
        socket.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._relay, [trio.SocketListener(socket)])
            yield f"unix://{self.path}"
            nursery.cancel_scope.cancel()

    async def _relay(self, client: trio.SocketStream) -> None:
        engine = await trio.open_unix_socket(self.engine.removeprefix("unix://"))
        async with client, engine, trio.open_nursery() as nursery:
            for here, there in ((client, engine), (engine, client)):
                nursery.start_soon(self._pass, here, there, nursery.cancel_scope)

    async def _pass(
        self, here: trio.SocketStream, there: trio.SocketStream, both: trio.CancelScope
    ) -> None:
        try:
            async for data in here:
                await self._moving.wait()
                await there.send_all(data)
        except trio.BrokenResourceError:
            pass
        both.cancel()


@pytest.mark.logs_errors
async def test_a_frozen_engine_does_not_hold_up_a_stop(
    pool: Pool, agency: Agency, shop: Shop, engine_url: str, tmp_path: Path
) -> None:
    glass = Glass(engine_url, tmp_path / "glass.sock")
    with trio.fail_after(LIMIT):
        async with glass.there() as host:
            worker = await agency.start({"DOCKER_HOST": host})
            bought = await shop.buy(Order("sleep=5"))
            await computing(pool, worker, bought.task_id)
            glass.freeze()
            await _send(worker, signal.SIGINT)
            with trio.fail_after(5):
                assert await worker.process.child.process.wait() != 0
            glass.thaw()
            (last,) = _said(worker, "some parts do not end")
            assert any(bought.task_id in part for part in last["parts"])
            # What it could not take away it finds again.
            again = await agency.start(again=worker.place)
            ended = await shop.over(bought, again.wallet)
            await again.tidy()
            await again.stop()
    ended.completed()
