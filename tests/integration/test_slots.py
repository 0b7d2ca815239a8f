"""How many tasks a worker computes at once."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from iexec_worker.wire import Status
from tests.integration.outcomes import SLOTS
from tests.integration.shop import Order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Ended, Shop

#: What ends the need for a slot.
COMPUTED = (
    Status.START_FAILED,
    Status.APP_DOWNLOAD_FAILED,
    Status.DATA_DOWNLOAD_FAILED,
    Status.COMPUTE_FAILED,
    Status.COMPUTED,
)

CPUS = "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT"


async def slots_of(worker: Hired) -> float:
    text = (await worker.get("/actuator/prometheus")).text
    (line,) = (line for line in text.splitlines() if line.startswith("iexec_worker_slots "))
    return float(line.split()[1])


def registered(pool: Pool) -> dict[str, dict[str, Any]]:
    """What each worker said of itself, by its name."""
    said = [json.loads(call.body) for call in pool.record.calls("POST /workers/register")]
    return {model["name"]: model for model in said}


def spans(ends: Sequence[Ended]) -> list[tuple[float, float]]:
    """From when to when each task needed a slot, by the pool's clock."""
    found = []
    for ended in ends:
        last = next(told for told in ended.updates if told.status in COMPUTED)
        found.append((ended.update(Status.STARTING).at, last.at))
    return found


def most_at_once(computed: Sequence[tuple[float, float]]) -> int:
    return max(sum(a <= start < b for a, b in computed) for start, _ in computed)


async def test_slots_come_from_processors_override_or_gpu(pool: Pool, agency: Agency) -> None:
    async with trio.open_nursery() as nursery:
        for environment in (
            {"IEXEC_WORKER_NAME": "processors", CPUS: ""},
            {"IEXEC_WORKER_NAME": "override", CPUS: "7"},
            {"IEXEC_WORKER_NAME": "gpu", CPUS: "7", "IEXEC_WORKER_GPU_ENABLED": "True"},
        ):
            nursery.start_soon(agency.start, environment)
    processors = max(len(os.sched_getaffinity(0)) - 1, 1)
    for worker in agency.hired:
        with trio.fail_after(20):
            await worker.registered(pool)

    slots = {worker.place.name: await slots_of(worker) for worker in agency.hired}
    assert slots == {"processors": processors, "override": 7, "gpu": 1}
    said = {name: (m["cpuNb"], m["gpuEnabled"]) for name, m in registered(pool).items()}
    assert said == {"processors": (processors, False), "override": (7, False), "gpu": (7, True)}


async def test_a_full_worker_computes_no_more_and_asks_for_no_more(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    worker = await agency.start(slots=2)
    with trio.fail_after(20):
        await worker.registered(pool)
    # The pool would give it everything: only the worker itself is in the way.
    known = pool.scheduler.store.workers[worker.wallet]
    known.model = attrs.evolve(known.model, cpu_nb=10)

    bought = [await shop.buy(Order(f"sleep=2 {n}")) for n in range(4)]
    with trio.fail_after(60):
        computed = spans([await shop.over(one, worker.wallet) for one in bought])

    assert most_at_once(computed) == 2
    first, second, *_ = sorted(computed)
    asked = [call.at for call in pool.record.calls("GET /replicates/available")]
    # Both slots are taken from the start of the second task to the end of the first app, which is
    # not told before the slot is free: on a busy machine the next question comes first.
    end = first[0] + 2
    assert end - second[0] > 1
    assert not [at for at in asked if second[0] < at < end]


@pytest.mark.buys(*(Order(f"sleep=1 {n}") for n in range(6)))
def test_a_loaded_worker_uses_all_its_slots_and_no_more(all_ended: list[Ended]) -> None:
    assert most_at_once(spans(all_ended)) == SLOTS


async def test_a_gpu_is_asked_of_the_engine(agency: Agency, shop: Shop) -> None:
    worker = await agency.start({"IEXEC_WORKER_GPU_ENABLED": "true"})
    with trio.fail_after(40):
        ended = await shop.over(await shop.buy(Order()), worker.wallet)

    # No GPU is needed for this test: an engine that has none says so.
    assert ended.told[-2:] == [Status.COMPUTE_FAILED, Status.ABORTED]
    refused = ended.update(Status.COMPUTE_FAILED).details
    assert refused["exitCode"] == -1
    assert "could not select device driver" in refused["computeLogs"]["stderr"]
