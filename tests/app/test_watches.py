from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from iexec_worker.app.watches import EngineWatch
from iexec_worker.engine.client import Engine
from iexec_worker.telemetry.tree import Node
from tests.confined import sandbox

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


@pytest.mark.docker
@pytest.mark.parametrize("gpus", [True, False])
async def test_an_engine_without_the_promised_gpus_is_told_of_once(
    engine_url: str, log_events: list[MutableMapping[str, Any]], gpus: bool
) -> None:
    node = Node("engine")
    async with aclosing(Engine(engine_url)) as engine, trio.open_nursery() as nursery:
        watch = EngineWatch(engine, node, sandbox(engine), gpus)
        await nursery.start(watch.run)
        with trio.fail_after(10):
            while node.doing != "the container engine answers":
                await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    told = [event for event in log_events if "IEXEC_WORKER_GPU_ENABLED" in event["event"]]
    assert len(told) == gpus


async def test_an_engine_that_is_away_is_the_trouble(tmp_path: Path) -> None:
    node = Node("engine")
    async with (
        aclosing(Engine(f"unix://{tmp_path}/none.sock")) as engine,
        trio.open_nursery() as nursery,
    ):
        watch = EngineWatch(engine, node, sandbox(engine), gpus=False)
        await nursery.start(watch.run)
        with trio.fail_after(10):
            while "does not answer" not in node.doing:
                await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert "none.sock" in watch.trouble
