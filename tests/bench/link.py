"""The link: from the pool's frame to the worker's inbox."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import trio

from iexec_worker.devpool.broker.notifications import Message
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import open_pool
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.link import Link
from iexec_worker.scheduler.subscriptions import Subscriptions
from iexec_worker.wire import Action
from tests.bench.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

TASK = "0x" + 64 * "a"
WORKER = "0x" + 40 * "1"
ROUNDS = 100


async def notification(cache: Path, folder: Path) -> list[Figure]:
    """Publish one message after the other; pool and worker share this process and its loop."""
    subscriptions = Subscriptions()
    async with (
        open_pool(PoolOptions(cache=cache, folder=folder / "link")) as pool,
        httpx.AsyncClient(trust_env=False) as client,
        trio.open_nursery() as nursery,
    ):
        with subscriptions.open(TASK) as inbox:
            await nursery.start(Link(client, pool.url, WORKER, subscriptions, Gate()).run)
            ours, round_trips = [], []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                pool.notifications.publish(Message(TASK, Action.PLEASE_WAIT))
                await inbox.receive()
                ours.append(1000 * (time.perf_counter() - began))
                began = time.perf_counter()
                await client.get(f"{pool.url}/version")
                round_trips.append(1000 * (time.perf_counter() - began))
        nursery.cancel_scope.cancel()
    what = "published → in the replicate's inbox"
    return [Figure(what, "ms", ours, "GET /version", round_trips, 20)]
