"""What is not there yet when a worker starts is waited for, and named meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from iexec_worker.devpool.chaos.disk import small_disk
from tests.integration.shop import Order
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import Iterator

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


async def _does(worker: Hired, part: str, text: str) -> None:
    """Wait until *text* is what a part of its tree says of what it does."""

    async def said() -> bool:
        tree = await worker.process.supervision() or {}
        return any(text in found["doing"] for found in _parts(tree) if found["name"] == part)

    await until(said)


def _parts(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree.get("children", ()):
        yield from _parts(child)


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


async def test_a_worker_waits_for_room_on_its_disk_and_goes_on_when_there_is_some(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    place = await agency.place(1, {"IEXEC_WORKER_MIN_FREE_DISK_GB": "1"})
    with trio.fail_after(LIMIT):
        async with small_disk(place.folder / "tasks"):
            worker = await agency.start(again=place)
            await worker.registered(pool)
            bought = await shop.buy(Order())
            await _says(worker, "disk", "IEXEC_WORKER_MIN_FREE_DISK_GB")

            # Its intake is at that, too: it is not that its turn has not come yet.
            await _does(worker, "intake", "IEXEC_WORKER_MIN_FREE_DISK_GB")
            assert pool.record.calls("GET /replicates/available") == []

            disk = str(place.folder / "tasks")
            await trio.run_process(("mount", "-o", "remount,size=3g", disk))
            await worker.ready()
            assert (await shop.over(bought, worker.wallet)).told[-1] == "COMPLETED"
            await worker.tidy()
            await worker.stop()


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
