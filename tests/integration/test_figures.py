"""What a worker counts and prints of the apps that it has run."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from iexec_worker import __version__
from iexec_worker.devpool import images
from tests.integration.moments import computing
from tests.integration.shop import Dataset, Order, Shop
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.registry import Registry
    from tests.integration.hired import Agency, Hired
    from tests.integration.outcomes import Outcomes
    from tests.integration.shop import Ended

#: Bytes of an image that no compression makes smaller; busybox beside them has two million.
FAR: Final = 2_000_000

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

PHASES: Final = ("pre_compute", "app_compute", "post_compute")
NOTHING: Final = {
    "minDuration": 0.0,
    "maxDuration": 0.0,
    "averageDuration": 0.0,
    "durationSamplesCount": 0,
}


async def scrape(worker: Hired) -> Samples:
    text = (await worker.get("/actuator/prometheus")).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def far_image(engine_url: str, open_registry: Registry) -> AsyncIterator[str]:
    """An image of the demo's app that has to be pulled, every byte of it."""
    image = f"{open_registry.address}/far:1"
    await images.build(engine_url, image, images.demo_app(ballast=FAR))
    await images.push(engine_url, image)
    await images.remove(engine_url, image)
    yield image
    await images.remove(engine_url, image)


@pytest.fixture
async def shop(pool: Pool, engine_url: str, app_image: str, far_image: str) -> Shop:
    return Shop(pool, engine_url, {"demo": app_image, "far": far_image})


async def test_figures_are_those_of_the_last_runs(pool: Pool, agency: Agency, shop: Shop) -> None:
    worker = await agency.start({"IEXEC_WORKER_METRICS_WINDOW_SIZE": "2"})
    figures = (await worker.get("/metrics")).json()
    assert list(figures) == [
        "preComputeDurations",
        "appComputeDurations",
        "postComputeDurations",
        "completeComputeDurations",
    ]
    assert all(figure == NOTHING for figure in figures.values())
    assert list(figures["appComputeDurations"]) == list(NOTHING)

    async def run(args: str, image: str = "demo") -> dict[str, float]:
        with trio.fail_after(40):
            bought = await shop.buy(Order(args, image=image))
            if "sleep" in args:
                await computing(pool, worker, bought.task_id)
                assert (await scrape(worker))["iexec_worker_slots_used", frozenset()] == 1
            await shop.over(bought, worker.wallet)
        figures = (await worker.get("/metrics")).json()
        # A standard task has no other stage, and is not complete without one.
        assert figures.pop("appComputeDurations").keys() == NOTHING.keys()
        assert all(figure == NOTHING for figure in figures.values())
        after: dict[str, float] = (await worker.get("/metrics")).json()["appComputeDurations"]
        return after

    first = await run("sleep=2", "far")
    assert first["durationSamplesCount"] == 1
    assert 1800 <= first["minDuration"] == first["maxDuration"] == first["averageDuration"] < 6000
    # A failed run is a run. The engine may note its start when it has already ended.
    second = await run("exit=3 no-computed")
    assert second["durationSamplesCount"] == 2
    assert second["maxDuration"] == first["maxDuration"]
    assert 0 <= second["minDuration"] < 1800
    third = await run("")
    assert third["durationSamplesCount"] == 2
    assert third["maxDuration"] < 1800
    assert third["minDuration"] <= third["averageDuration"] <= third["maxDuration"]

    await until(partial(counts_what_was_sent, worker))
    await until(partial(holds_no_slot, worker))
    await shows_every_series(worker, third)
    assert not [event for event in worker.events() if event["event"] == "app has run"]


async def counts_what_was_sent(worker: Hired) -> bool:
    """True iff it knows of four transactions of its wallet; it looks with the blocks."""
    series = await scrape(worker)
    name = "iexec_chain_wallet_tx_count"
    return all(series[name, frozenset({("block", block)})] == 4 for block in ("latest", "pending"))


async def holds_no_slot(worker: Hired) -> bool:
    """True iff no slot is taken; the intake takes one while it asks for work."""
    return (await scrape(worker))["iexec_worker_slots_used", frozenset()] == 0


async def shows_every_series(worker: Hired, app: dict[str, float]) -> None:
    """Assert that Prometheus is told the same *app* figures, and all else of a worker."""
    series = await scrape(worker)

    def value(name: str, **labels: str) -> float:
        return series[name, frozenset(labels.items())]

    figures = {"min": "minDuration", "max": "maxDuration", "average": "averageDuration"}
    for phase in PHASES:
        where = {"wallet": worker.wallet, "phase": phase}
        for short, long in figures.items():
            shown = value(f"iexec_{phase}_duration_{short}", **where)
            assert shown == app[long] if phase == "app_compute" else math.isnan(shown)
        count = app["durationSamplesCount"] if phase == "app_compute" else 0
        assert value(f"iexec_{phase}_duration_samples_count", **where) == count

    (version,) = (dict(labels) for name, labels in series if name == "iexec_version_info")
    assert version["iexecAppName"] == "iexec-worker"
    assert version["iexecAppVersion"].startswith(__version__)
    assert value("iexec_chain_block_latest") > 0
    # Two tasks were contributed and revealed.
    assert value("iexec_poco_transaction_total", status="success") == 4
    assert value("iexec_poco_transaction_total", status="failure") == 0
    assert value("iexec_worker_slots") == 1
    assert value("iexec_worker_ping_duration_seconds_count") > 0
    # Of one image, and that one whole.
    assert FAR < value("iexec_worker_pull_bytes_total") < 3 * FAR
    others = {name for name, _ in series}
    assert others >= {
        "iexec_worker_component_up",
        "iexec_worker_component_restarts_total",
        "iexec_worker_replicates",
        "iexec_worker_stage_duration_seconds_bucket",
        "process_resident_memory_bytes",
    }


@pytest.mark.buys(Order("", dataset=Dataset()))
def test_the_developer_logger_shows_files_and_output(ended: Ended, outcomes: Outcomes) -> None:
    (run,) = (
        event
        for event in outcomes.worker.events()
        if event["event"] == "app has run" and event["task"] == ended.bought.task_id
    )
    assert run["level"] == "info"
    assert run["exit_code"] == 0
    # What comes from strangers stays on one line: it could not be told from other events else.
    assert run["input"] == ended.bought.purchase.dataset
    assert run["output"].split(r"\n") == ["computed.json", "result.txt", "stdout.txt"]
    assert run["stdout"] == r"done: 0 argument(s)\n"
    assert run["stderr"] == ""
