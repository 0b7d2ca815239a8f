"""The engine: how soon an exit is known, and what a cancelled stream leaves."""

from __future__ import annotations

import os
import threading
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.engine import engine as provided
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.spec import ContainerSpec
from tests.bench.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from docker import APIClient

IMAGE = "iexec-worker-bench/sleep:1"
ROUNDS = 7


async def exits(cache: Path, folder: Path) -> list[Figure]:
    """The worker knows of an exit so long after the engine's own FinishedAt."""
    late, pings = [], []
    async with provided(folder / "engine", host=os.environ.get("DOCKER_HOST")) as there:
        await images.build(there.host, IMAGE, Recipe(command=("/bin/sleep", "0.3")))
        async with aclosing(Engine(there.host)) as engine:
            containers = Containers(engine)
            for number in range(ROUNDS):
                spec = ContainerSpec(f"iexec-bench-{number}", IMAGE)
                async with containers.running(spec) as container:
                    await engine.stream(partial(_wait, container=container))
                    known = time.time()
                    ended = await containers.wait(container, limit=60)
                    late.append(1000 * (known - ended.finished_at))
                began = time.perf_counter()
                await engine.ping()
                pings.append(1000 * (time.perf_counter() - began))
    return [Figure("container's end → known", "ms", late, "ping of the engine", pings, 50)]


async def cuts(cache: Path, folder: Path) -> list[Figure]:
    """Cancel a wait; count threads and the time it takes."""
    left, took, pings = [], [], []
    async with provided(folder / "engine", host=os.environ.get("DOCKER_HOST")) as there:
        await images.build(there.host, IMAGE, Recipe(command=("/bin/sleep", "60")))
        async with aclosing(Engine(there.host)) as engine:
            containers = Containers(engine)
            async with containers.running(ContainerSpec("iexec-bench-cut", IMAGE)) as container:
                for _ in range(ROUNDS):
                    before = _streams()
                    with trio.move_on_after(0.2) as scope:
                        await containers.engine.stream(lambda api: api.wait(container))
                    took.append(1000 * (trio.current_time() - scope.deadline))
                    left.append(float(_streams() - before))
                    began = time.perf_counter()
                    await engine.ping()
                    pings.append(1000 * (time.perf_counter() - began))
    return [
        Figure("cancelled stream → ended", "ms", took, "ping of the engine", pings, 2000),
        Figure("threads left after it", "", left, "none", [0.0], 1),
    ]


def _wait(api: APIClient, container: str) -> None:
    api.wait(container)


def _streams() -> int:
    """Threads that are in a call now; Trio keeps idle ones for the next."""
    return sum(thread.name.startswith("engine call") for thread in threading.enumerate())
