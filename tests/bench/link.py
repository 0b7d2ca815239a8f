"""The link: from the pool's frame to the worker's inbox, and to what it does about it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import attrs
import httpx
import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.broker.notifications import Message
from iexec_worker.devpool.engine import engine as provided
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import open_pool
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.link import Link
from iexec_worker.scheduler.subscriptions import Subscriptions
from iexec_worker.wire import Action, Status
from tests.bench.figure import Figure
from tests.integration.hired import Agency
from tests.integration.shop import Order, Shop, quick

if TYPE_CHECKING:
    from pathlib import Path

TASK = "0x" + 64 * "a"
WORKER = "0x" + 40 * "1"
ROUNDS = 100

IMAGE = "127.0.0.1:1/iexec-worker-bench/app:1"
"""Nobody listens on port 1: the engine has it, or it is nowhere."""

TASKS = 5
SETTLED = 0.5
"""Seconds after which a worker that has contributed does nothing but wait."""


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


async def reveal(cache: Path, folder: Path) -> list[Figure]:
    """
    Tell a worker that waits to reveal, and wait until it tells that it does.

    In between it asks the chain whether that is true, and writes down what it will do.
    """
    ours, round_trips = [], []
    async with (
        provided(folder / "engine", host=os.environ.get("DOCKER_HOST")) as there,
        open_pool(attrs.evolve(quick(folder / "pool"), cache=cache)) as pool,
        trio.open_nursery() as nursery,
    ):
        await images.build(there.host, IMAGE, images.demo_app())
        agency = Agency(pool, folder / "workers", there.host, os.environ, nursery)
        worker = await agency.start()
        shop = Shop(pool, there.host, {"demo": IMAGE})
        for number in range(TASKS):
            bought = await shop.buy(Order(str(number)))
            with pool.notifications.held():
                await pool.record.until_told(bought.task_id, Status.CONTRIBUTED)
                await pool.task_status(bought.task_id, "CONSENSUS_REACHED")
                await trio.sleep(SETTLED)
                began = time.perf_counter()
                await worker.get("/version")
                round_trips.append(1000 * (time.perf_counter() - began))
                published = time.time()
            told = await pool.record.until_told(bought.task_id, Status.REVEALING)
            ours.append(1000 * (told.at - published))
            await shop.over(bought, worker.wallet)
        await worker.dismiss()
        await images.remove(there.host, IMAGE)
    what = "PLEASE_REVEAL published → REVEALING told"
    return [Figure(what, "ms", ours, "GET /version of the worker", round_trips, 20)]
