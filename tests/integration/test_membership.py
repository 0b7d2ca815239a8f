"""What a worker is before, while and after it joins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency
    from tests.integration.shop import Shop


async def test_a_worker_is_healthy_at_once_and_ready_when_it_is_registered(
    pool: Pool, agency: Agency
) -> None:
    refusing = pool.faults.on("POST /workers/register").status(503)
    worker = await agency.start()
    with trio.fail_after(20):
        await refusing.hit()

    for path in ("/actuator/health", "/actuator/health/liveness"):
        answer = await worker.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "UP"})
    before = await worker.get("/actuator/health/readiness?details=true")
    assert (before.status_code, before.json()["status"]) == (503, "OUT_OF_SERVICE")
    assert before.json()["components"]["scheduler"]["status"] == "OUT_OF_SERVICE"

    refusing.off()
    await worker.ready()
    after = await worker.get("/actuator/health/readiness")
    assert (after.status_code, after.json()) == (200, {"status": "UP"})


async def test_a_task_is_completed(pool: Pool, agency: Agency, shop: Shop) -> None:
    worker = await agency.start()
    bought = await shop.buy(Order())
    with trio.fail_after(40):
        ended = await shop.over(bought, worker.wallet)
    assert ended.told[-1] == "COMPLETED"
