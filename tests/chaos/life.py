"""One life of a worker: what `app` puts together, with the world's ends in the place of sockets."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from attrs import define, field

from iexec_worker import config
from iexec_worker.app.assembly import Identity, api_of, build_chain, build_member
from iexec_worker.app.clients import Clients
from iexec_worker.app.machine import worker_model
from iexec_worker.membership import join, membership
from iexec_worker.membership.ending import Ending
from iexec_worker.replicates.slots import Slots
from iexec_worker.supervise import FOREVER, Policy, Restart, supervise
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node
from tests.chaos.clockwork import now
from tests.chaos.contracts import POOL
from tests.chaos.desk import URL, Wire
from tests.chaos.machine import Line
from tests.chaos.mortal import LIFE, Killed, Mortal
from tests.chaos.world import KEY

if TYPE_CHECKING:
    from iexec_worker.membership.attendance import Attendance
    from iexec_worker.membership.member import Member
    from tests.chaos.world import World

#: Registering dozens of series takes longer than a run; nobody looks at them here.
METRICS: Final = Metrics(KEY.address, Durations(1), Node("worker"))

MEMBER: Final = Policy(Restart.TRANSIENT, FOREVER.intensity)


@define(eq=False)
class Life(Mortal):
    """A worker from its start until it is drained, cancelled (*scope*) or killed."""

    world: World = field(kw_only=True)
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    ending: Ending = field(factory=lambda: Ending(patience=600))
    slots: Slots = field(factory=lambda: Slots(1))
    tree: Node = field(factory=lambda: Node("worker"))
    member: Member | None = None
    attendance: Attendance | None = None

    async def run(self) -> None:
        """Live."""
        LIFE.set(self)
        own = self._identity()
        with self.scope:
            try:
                await supervise(self._member(own), self.tree, MEMBER)
            except BaseExceptionGroup as group:
                if not self.dead or group.split((Killed, trio.Cancelled))[1] is not None:
                    raise
            except Killed:
                pass

    def drain(self) -> None:
        """End when nothing is left to do."""
        self.ending.drain()

    @property
    def empty(self) -> bool:
        """True iff nothing of any task is left in this worker."""
        assert self.member is not None
        return not (self.slots.used or self.member.around.subscriptions.task_ids)

    def _identity(self) -> Identity:
        settings = config.load(
            {
                "IEXEC_WORKER_NAME": "w",
                "IEXEC_WORKER_BASE_DIR": str(self.world.base),
                "IEXEC_WORKER_MIN_FREE_DISK_GB": "0",
                "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT": "1",
                "IEXEC_CORE_URL": URL,
                "POOL_ADDRESS": POOL,
                "IEXEC_WORKER_WALLET_PASSWORD": "-",
            },
            cpu_count=1,
        ).config
        engine: Any = Line(self.world.machine)
        client = self.world.client()
        # Engine and disk have nothing against another task.
        fine: Any = SimpleNamespace(trouble="")
        return Identity(
            config=settings,
            wallet=KEY,
            clients=Clients(client, client, engine, settings),
            durations=Durations(1),
            metrics=METRICS,
            slots=self.slots,
            ending=self.ending,
            engine=fine,
            disk=fine,
        )

    def _member(self, own: Identity) -> Any:  # noqa: ANN401 - a Service
        async def one(*, task_status: trio.TaskStatus[None]) -> None:
            terms = await join.ask(api_of(own), own.clients.pool, POOL)
            chain = build_chain(own, terms, own.clients.pool)
            chain.blocks.clock = now
            built = build_member(own, terms, chain, worker_model(own.config, KEY.address))
            around, session = built.around, built.session
            link: Any = Wire(self.world.desk, around.subscriptions, session.gate)
            member = self.member = attrs.evolve(built, link=link)
            with (
                self.tree.child("blocks") as blocks,
                self.tree.child("transactions") as writer,
                self.tree.child("membership") as held,
            ):
                async with trio.open_nursery() as nursery:
                    run_blocks = partial(chain.blocks.run, blocks)
                    await nursery.start(supervise, run_blocks, blocks, FOREVER)
                    run_writer = partial(chain.transactions.run, writer)
                    nursery.start_soon(supervise, run_writer, writer, FOREVER)
                    task_status.started()
                    await membership.run(member, held, self._seat)
                    nursery.cancel_scope.cancel()

        return one

    def _seat(self, attendance: Attendance) -> None:
        self.attendance = attendance
