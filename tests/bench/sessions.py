"""Sessions: how fast a lost one is made again, and what a thousand of them leave behind."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

import attrs
import httpx
import trio
from attrs import define, field, frozen

from iexec_worker.app.clients import open_clients
from iexec_worker.app.enclaves import enclaves
from iexec_worker.app.worker import Root
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import load
from iexec_worker.devpool import wallets
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import open_pool
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from iexec_worker.membership import membership
from iexec_worker.secret import Secret
from iexec_worker.supervise import Backoff
from iexec_worker.telemetry.redaction import Redactor
from iexec_worker.telemetry.tree import Node, State
from tests.bench.figure import Figure
from tests.confined import sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.pool import Pool

#: Seconds between two looks at the tree, which sets no event.
LOOK: Final = 0.001

#: What a worker does without a pause in a measurement: it starts over at once.
AT_ONCE: Final = attrs.evolve(membership.SESSION, backoff=Backoff(0, 0))


@frozen
class Holdings:
    """What this process holds: megabytes, threads, open files, and Trio's tasks."""

    memory: float
    threads: int
    files: int
    tasks: int

    @staticmethod
    def now() -> Holdings:
        """Count, after everything was collected that nobody refers to."""
        gc.collect()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
        return Holdings(
            resident,
            threading.active_count(),
            len(list(Path("/proc/self/fd").iterdir())),
            trio.lowlevel.current_statistics().tasks_living,
        )


@define(eq=False)
class Sessions:
    """A worker in this process, and the pool that it joins over real sockets."""

    pool: Pool
    root: Node
    made: int = field(default=0)

    async def again(self) -> float:
        """Lose the session; returns the seconds after which the next one holds."""
        record = self.pool.record
        # The pool's memory of everything that was ever asked is no part of what is measured.
        record.exchanges.clear()
        began = time.perf_counter()
        if self.made % 2:
            self.pool.services.scheduler.front.cut()
        session = self._part("session")
        assert session is not None
        assert session.interrupt()
        while self._part("intake") is not None:  # noqa: ASYNC110 - the tree sets no event
            await trio.sleep(LOOK)
        await self.hold()
        self.made += 1
        return time.perf_counter() - began

    async def hold(self) -> None:
        """Wait until a session holds: registered, linked, nothing missed, intake at its work."""
        while (intake := self._part("intake")) is None or intake.state is not State.RUNNING:  # noqa: ASYNC110 - the tree sets no event
            await trio.sleep(LOOK)

    def _part(self, name: str) -> Node | None:
        return next((node for _, node in self.root.walk() if node.name == name), None)


@asynccontextmanager
async def sessions(cache: Path, folder: Path) -> AsyncIterator[Sessions]:
    """Have a worker with a session; every second one is lost together with its connections."""
    quick = SchedulerSettings(ask_period=0.2)
    async with open_pool(PoolOptions(cache=cache, folder=folder, scheduler=quick)) as pool:
        owner = await wallets.make(folder, "wallet")
        await wallets.fund(pool.market, owner)
        environ = {
            **pool.environment(owner.path, owner.password),
            "IEXEC_WORKER_BASE_DIR": str(folder / "tasks"),
            "IEXEC_WORKER_MIN_FREE_DISK_GB": "0",
        }
        config = load(environ, cpu_count=1).config
        config = attrs.evolve(config, worker=attrs.evolve(config.worker, port=0))
        wallet = Wallet.decrypt(owner.path, Secret(owner.password))
        with patch.object(membership, "SESSION", AT_ONCE):
            async with open_clients(config) as clients, trio.open_nursery() as nursery:
                trusted = enclaves(config, clients.engine, wallet.address)
                root = Root(config, wallet, clients, sandbox(clients.engine), trusted, Redactor())
                await nursery.start(root.run)
                worker = Sessions(pool, root.node)
                await worker.hold()
                yield worker
                nursery.cancel_scope.cancel()


async def session(cache: Path, folder: Path) -> list[Figure]:
    """A session that is lost until the next one asks for work; no pause in between."""
    async with sessions(cache, folder / "sessions") as worker, httpx.AsyncClient() as client:
        values, round_trips = [], []
        for _ in range(100):
            values.append(1000 * await worker.again())
            began = time.perf_counter()
            await client.get(f"{worker.pool.url}/version")
            round_trips.append(1000 * (time.perf_counter() - began))
    return [Figure("session lost → made again", "ms", values, "GET /version", round_trips)]
