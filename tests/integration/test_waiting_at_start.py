"""What is not there yet when a worker starts is waited for, and named meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from tests.integration.hired import until
from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Shop

LIMIT: Final = 40


async def _says(worker: Hired, component: str, text: str) -> None:
    """Wait until readiness is down and says *text* of *component*."""

    async def said() -> bool:
        answer = await worker.get("/actuator/health/readiness?details=true")
        found = answer.json()["components"].get(component, {})
        return answer.status_code == 503 and text in str(found)

    await until(said)


async def _failed(worker: Hired) -> None:
    """Wait until it has said that it could not join."""

    async def said() -> bool:
        return any(event["event"] == "failed" for event in worker.events())

    await until(said)


async def _is_healthy(worker: Hired) -> bool:
    # Operators restart what is not healthy; that would help nobody here.
    return int((await worker.get("/actuator/health")).status_code) == 200


async def test_a_worker_waits_for_a_scheduler_that_is_not_up_yet(
    pool: Pool, agency: Agency
) -> None:
    with trio.fail_after(LIMIT):
        async with pool.services.scheduler.front.offline():
            worker = await agency.start()
            await _says(worker, "scheduler", "the pool has not answered yet")
            await _failed(worker)
            assert await _is_healthy(worker)
            assert not await worker.process.ready()
        await worker.registered(pool)
        await worker.ready()

    reasons = [e["reason"] for e in worker.events() if e["event"] == "failed"]
    assert pool.url in reasons[0]


async def test_a_worker_waits_for_the_node_and_the_config_server(
    pool: Pool, agency: Agency
) -> None:
    with trio.fail_after(LIMIT):
        async with pool.services.config_server.front.offline(), pool.services.node.offline():
            worker = await agency.start()
            await _failed(worker)
            assert await _is_healthy(worker)
        await worker.ready()


async def test_a_login_that_is_refused_is_tried_again_because_lists_change(
    pool: Pool, agency: Agency
) -> None:
    refused = pool.faults.on("GET /workers/challenge").status(401)
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        await refused.hit(2)
        await _says(worker, "scheduler", "login of")
        refused.off()
        await worker.registered(pool)


async def test_no_secret_is_in_anything_a_worker_prints_at_its_most_talkative(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start(
            {
                "IEXEC_WORKER_LOG_LEVEL": "debug",
                "IEXEC_DEVELOPER_LOGGER_ENABLED": "true",
                "IEXEC_WORKER_DOCKER_REGISTRY_ADDRESS_1": "registry.example.org",
                "IEXEC_WORKER_DOCKER_REGISTRY_USERNAME_1": "somebody",
                "IEXEC_WORKER_DOCKER_REGISTRY_PASSWORD_1": "hush-hush-hush",
            }
        )
        bought = await shop.buy(Order("print=3"))
        await shop.over(bought, worker.wallet)
        tree = await worker.process.supervision()

    printed = worker.log.read_text() + str(tree)
    token = next(
        e.headers["authorization"] for e in pool.record.calls("POST /workers/ping")
    ).removeprefix("Bearer ")
    assert "line 2" in printed
    for secret in ("hush-hush-hush", worker.place.wallet.password, token):
        assert secret not in printed
