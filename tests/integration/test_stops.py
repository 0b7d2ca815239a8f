"""SIGTERM: no new work, what runs is ended. SIGINT: at once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.model import TaskStatus
from tests.integration.hired import until
from tests.integration.moments import computing
from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Shop

LIMIT: Final = 40


async def _send(worker: Hired, number: signal.Signals) -> None:
    worker.expendable = True
    worker.process.child.process.send_signal(number)


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

    assert ended.onchain.status is TaskStatus.COMPLETED
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

    assert ended.onchain.status is TaskStatus.COMPLETED
