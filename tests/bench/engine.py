"""The engine: how soon an exit is known, and what a cancelled stream leaves."""

from __future__ import annotations

import os
import threading
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

import trio
from docker import APIClient

from iexec_worker.devpool import images
from iexec_worker.devpool.engine import engine as provided
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.spec import ContainerSpec
from tests.bench.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.engine.state import ContainerExit

IMAGE = "iexec-worker-bench/sleep:1"
ROUNDS = 7


async def exits(cache: Path, folder: Path) -> list[Figure]:
    """The worker knows of an exit so long after the engine told a bare client of its SDK."""
    ours, bare = [], []
    async with provided(folder / "engine", host=os.environ.get("DOCKER_HOST")) as there:
        await images.build(there.host, IMAGE, Recipe(command=("/bin/sleep", "0.3")))
        async with aclosing(Engine(there.host)) as engine:
            containers = Containers(engine)
            for number in range(ROUNDS):
                spec = ContainerSpec(f"iexec-bench-{number}", IMAGE)
                async with containers.running(spec) as container:
                    told, ended = await _both(there.host, containers, container)
                    ours.append(1000 * (time.time() - told))
                    bare.append(1000 * (told - ended.finished_at))
    return [Figure("engine says exited → known", "ms", ours, "end → engine says so", bare, 50)]


async def _both(host: str, containers: Containers, container: str) -> tuple[float, ContainerExit]:
    """Wait with a bare client beside ours: when it was told, and what we found."""
    told = 0.0

    def ask() -> None:
        nonlocal told
        with closing(APIClient(host, timeout=60)) as api:
            api.wait(container)
            told = time.time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, ask)
        ended = await containers.wait(container, limit=60)
    return told, ended


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


def _streams() -> int:
    """Threads that are in a call now; Trio keeps idle ones for the next."""
    return sum(thread.name.startswith("engine call") for thread in threading.enumerate())
