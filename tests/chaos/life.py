"""One life of a worker: what `app` puts together, with the world's ends in the place of sockets."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from attrs import define, evolve, field, frozen

from iexec_worker import config
from iexec_worker.app import assembly, joining
from iexec_worker.app.disk import Disk
from iexec_worker.app.enclaves import enclaves
from iexec_worker.app.identity import Identity
from iexec_worker.app.joining import Joining
from iexec_worker.app.readiness import Readiness
from iexec_worker.app.watches import EngineWatch, count_transactions
from iexec_worker.chain.node.blocks import BlockWatch
from iexec_worker.membership.ending import Ending
from iexec_worker.replicates.slots import Slots
from iexec_worker.scheduler import heartbeat
from iexec_worker.supervise import Policy, supervise
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node
from tests.chaos.clockwork import now
from tests.chaos.contracts import POOL, TASK
from tests.chaos.desk import URL, Wire
from tests.chaos.machine import Line
from tests.chaos.mortal import LIFE, Killed, Mortal, breathe, watching
from tests.chaos.trust import TRUST, Call, Door
from tests.chaos.world import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import httpx

    from iexec_worker.config import Config
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.scheduler.gate import Gate
    from iexec_worker.scheduler.subscriptions import Subscriptions
    from tests.chaos.world import World

#: Registering dozens of series takes longer than a run; nobody looks at them here.
METRICS: Final = Metrics(KEY.address, Durations(1), Node("worker"))


class NoWalls:
    """What stands for `engine.sandbox.Sandbox`: what confines apps is no part of the worker's."""

    async def start(self, containers: Containers, spec: ContainerSpec) -> str:
        return await containers.start(spec)

    def quota(self, containers: Containers, container: str, *_: Path) -> Unwatched:
        return Unwatched(containers, container)

    def memory_limit(self) -> str:
        return "all there is"


@frozen
class Unwatched:
    """What stands for `engine.quota.Quota`."""

    containers: Containers
    container: str

    async def wait(self, limit: float) -> ContainerExit:
        return await self.containers.wait(self.container, limit=limit)

    async def log_is_whole(self) -> bool:
        return True


NO_WALLS: Final[Any] = NoWalls()


@frozen
class Ends:
    """What stands for `app.clients.Clients`."""

    pool: httpx.AsyncClient
    strangers: httpx.AsyncClient
    engine: Any

    @asynccontextmanager
    async def node(self, _host: str) -> AsyncIterator[httpx.AsyncClient]:
        yield self.pool


@define(eq=False)
class Life(Mortal):
    """A worker from its start until it is drained, cancelled (*scope*) or killed."""

    world: World = field(kw_only=True)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    ending: Ending = field(factory=lambda: Ending(patience=600))
    slots: Slots = field(factory=lambda: Slots(1))
    subscriptions: Subscriptions | None = None

    async def run(self) -> None:
        """Live."""
        LIFE.set(self)
        own, node = self._identity(), Node("member")
        ready = Readiness(own.engine, own.disk, self.ending.draining)
        member = Joining(own, ready, Policy(), node)
        with self.scope, self._rewired():
            try:
                if self.world.deal.trusted:
                    await self._run_with_enclaves(member, node)
                else:
                    await supervise(member.run, node, member.own_policy)
            except BaseExceptionGroup as group:
                if not self.dead or group.split((Killed, trio.Cancelled))[1] is not None:
                    raise
            except Killed:
                pass

    async def _run_with_enclaves(self, member: Joining, node: Node) -> None:
        """Run with what stands for the server: enclaves are heard as long as the worker is."""
        calls, callers = trio.open_memory_channel[Call](8)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hear, member, callers)
            self.world.enclaves.door = Door(self, calls)
            try:
                await supervise(member.run, node, member.own_policy)
            finally:
                if not self.dead:
                    self.world.enclaves.door = None
            nursery.cancel_scope.cancel()

    async def _hear(self, member: Joining, callers: trio.MemoryReceiveChannel[Call]) -> None:
        async for call in callers:
            breathe()
            await member.settle()
            reports = member.reports(TASK)
            taken = reports is not None and await reports.computed(call.file)
            breathe()
            call.taken = taken
            call.done.set()

    def drain(self) -> None:
        """End when nothing is left to do."""
        self.ending.drain()

    @property
    def empty(self) -> bool:
        """True iff nothing of any task is left in this worker."""
        return not (self.slots.used or (self.subscriptions and self.subscriptions.task_ids))

    @contextmanager
    def _rewired(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(assembly, "Link", self._link)
            # The default clock was bound when its module was read.
            patch.setattr(assembly, "BlockWatch", partial(BlockWatch, clock=now))
            patch.setattr(BlockWatch, "run", watching(BlockWatch.run))
            patch.setattr(heartbeat, "run", watching(heartbeat.run))
            patch.setattr(joining, "count_transactions", watching(count_transactions))
            yield

    def _link(self, _c: object, _u: str, _w: str, subscriptions: Subscriptions, gate: Gate) -> Wire:
        self.subscriptions = subscriptions
        return Wire(self.world.desk, subscriptions, gate)

    def _identity(self) -> Identity:
        settings = _settings(trusted=self.world.deal.trusted)
        own = evolve(settings.worker, base_dir=self.world.base)
        settings = evolve(settings, worker=own)
        engine: Any = Line(self.world.machine)
        client = self.world.client()
        ends: Any = Ends(client, client, engine)
        return Identity(
            config=settings,
            wallet=KEY,
            clients=ends,
            durations=Durations(1),
            metrics=METRICS,
            slots=self.slots,
            ending=self.ending,
            engine=EngineWatch(engine, Node("engine"), NO_WALLS, gpus=False, trouble=""),
            disk=Disk(settings.worker.tasks_dir, 0, Node("disk")),
            sandbox=NO_WALLS,
            enclaves=TRUST if self.world.deal.trusted else enclaves(settings, engine, KEY.address),
        )


@cache
def _settings(*, trusted: bool) -> Config:
    """The same in all lives, except for the folder."""
    return config.load(
        {
            "IEXEC_WORKER_NAME": "w",
            "IEXEC_WORKER_MIN_FREE_DISK_GB": "0",
            "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT": "1",
            "IEXEC_CORE_URL": URL,
            "POOL_ADDRESS": POOL,
            "IEXEC_WORKER_WALLET_PASSWORD": "-",
            "IEXEC_WORKER_SGX_DRIVER_MODE": "NATIVE" if trusted else "NONE",
        },
        cpu_count=1,
    ).config
