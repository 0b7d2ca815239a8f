"""Tasks whose apps take too much: what the pool, the log and the figures are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.images import Recipe
from iexec_worker.wire import Cause, Status
from tests.integration.shop import Order, Shop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.registry import Registry
    from tests.integration.hired import Agency

TIGHT: Final = {"IEXEC_WORKER_TASK_MEMORY_PERCENT": "1", "IEXEC_WORKER_TASK_MAX_DISK_GB": "1"}

BOMBS: Final = {
    "oom": "exec /bin/busybox tail /dev/zero",
    "quota": "while :; do cat /dev/zero > /iexec_out/filled; done",
}


@pytest.fixture
async def bombs(pool: Pool, engine_url: str, open_registry: Registry) -> AsyncIterator[Shop]:
    """Sells apps that are nothing but a bomb."""
    shelf = {name: f"{open_registry.address}/bomb-{name}:1" for name in BOMBS}
    for name, image in shelf.items():
        recipe = Recipe(command=("/bin/sh", "-c", BOMBS[name]))
        await images.build(engine_url, image, recipe)
        await images.push(engine_url, image)
    yield Shop(pool, engine_url, shelf)
    for image in shelf.values():
        await images.remove(engine_url, image)


async def test_a_limit_that_ended_the_app_is_told_to_everybody(agency: Agency, bombs: Shop) -> None:
    worker = await agency.start(TIGHT)
    ends = {}
    with trio.fail_after(100):
        for name in BOMBS:
            bought = await bombs.buy(Order("", image=name))
            ends[name] = await bombs.over(bought, worker.wallet)

    oom, quota = (ends[name].update(Status.COMPUTE_FAILED) for name in ("oom", "quota"))
    assert oom.cause == quota.cause == Cause.APP_COMPUTE_FAILED
    assert oom.details["exitCode"] == quota.details["exitCode"] == 137
    assert "memory used up" in oom.details["computeLogs"]["stderr"]
    assert "it wrote more than 1 GB" in quota.details["computeLogs"]["stderr"]
    stopped = [event["reason"] for event in worker.events() if event["event"] == "app stopped"]
    assert stopped == ["oom", "quota"]
    figures = (await worker.get("/actuator/prometheus")).text
    assert 'iexec_worker_app_ends_total{end="oom"} 1.0' in figures
    assert 'iexec_worker_app_ends_total{end="quota"} 1.0' in figures
