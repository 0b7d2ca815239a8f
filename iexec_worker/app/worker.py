"""The root of the supervision tree."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import httpx
import structlog
import trio
from attrs import define, field

from iexec_worker.app import signals
from iexec_worker.app.assembly import Identity, api_of, build_chain, build_member
from iexec_worker.app.clients import Clients, open_clients
from iexec_worker.app.disk import Disk
from iexec_worker.app.machine import worker_model
from iexec_worker.app.readiness import Readiness
from iexec_worker.app.watches import EngineWatch, count_transactions
from iexec_worker.chain.wallet import Wallet
from iexec_worker.errors import Fatal, Rejected, SessionLost, Transient, Unauthorized
from iexec_worker.membership import join, membership
from iexec_worker.membership.attendance import TermsChanged
from iexec_worker.membership.ending import Ending
from iexec_worker.replicates.slots import Slots
from iexec_worker.server import serve
from iexec_worker.server.app import make_app
from iexec_worker.server.view import View
from iexec_worker.supervise import (
    FOREVER,
    Escalated,
    Intensity,
    Interrupted,
    Policy,
    Restart,
    describe,
    ends_in_time,
    ends_within,
    supervise,
)
from iexec_worker.telemetry import logs
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node, State
from iexec_worker.telemetry.version import FULL_VERSION

if TYPE_CHECKING:
    from iexec_worker.app.assembly import Chain
    from iexec_worker.config import Config
    from iexec_worker.membership.attendance import Attendance
    from iexec_worker.membership.join import Terms
    from iexec_worker.membership.member import Member
    from iexec_worker.telemetry.redaction import Redactor

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def run(
    config: Config,
    log_format: str,
    node: Node,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Be a worker until drained or stopped; started with the URL of its HTTP server.

    *node* becomes the root of the tree.

    Raises `Fatal` for what only a person can mend, `Escalated` when a part fails too often.
    """
    redactor = logs.configure(config.telemetry.log_level, log_format, config.secrets)
    wallet = await trio.to_thread.run_sync(
        Wallet.decrypt, config.wallet.path, config.wallet.password
    )
    log.info("worker starts", version=FULL_VERSION, name=config.worker.name, wallet=wallet.address)
    async with open_clients(config) as clients:
        root = Root(config, wallet, clients, redactor, node)
        try:
            await root.run(task_status=task_status)
        except* (Fatal, Escalated) as group:
            # One line for a person; the log has what led to it.
            raise Fatal(describe(group)) from group
    log.info("worker ends")


@define(eq=False)
class Root:
    """
    Opens the tree.

        worker
        ├── signals, server, engine    there before any pool is
        └── member                     made anew, as one piece, for every other set of terms
            ├── blocks, transactions, wallet
            └── membership             session, replicates
    """

    config: Config
    wallet: Wallet
    clients: Clients
    redactor: Redactor
    node: Node = field(factory=lambda: Node("worker"))
    ending: Ending = field(init=False)
    _own: Identity = field(init=False)
    _ready: Readiness = field(init=False)
    #: While there are replicates, so that a drain is the membership's to end.
    _holding: bool = field(init=False, default=False)

    @ending.default
    def _in_the_operators_time(self) -> Ending:
        return Ending(self.config.supervision.drain_timeout)

    async def run(self, *, task_status: trio.TaskStatus[str]) -> None:
        """Run all parts; ends when the membership has been drained."""
        with (
            self.node.child("server") as server,
            self.node.child("engine") as engine,
            self.node.child("member") as member,
        ):
            own = self._own = self._identity(engine)
            self._ready = Readiness(own.engine, own.disk, self.ending.draining)
            give_up = partial(os._exit, os.EX_SOFTWARE)
            async with (
                ends_within(self.node, STOP_LIMIT, give_up, since=self.ending.stopping),
                ends_in_time(self.node, ENDING_LIMIT, give_up) as nursery,
            ):
                await nursery.start(signals.run, self.ending)
                nursery.start_soon(self._leave, nursery.cancel_scope)
                nursery.start_soon(supervise, own.engine.run, engine, FOREVER)
                url = await nursery.start(supervise, self._server(), server, self._policy)
                log.info("serving", url=url)
                self.node.enter(State.RUNNING)
                task_status.started(url)
                await supervise(self._member(member), member, self._member_policy)

    def _identity(self, engine: Node) -> Identity:
        config = self.config.worker
        durations = Durations(self.config.telemetry.metrics_window)
        metrics = Metrics(self.wallet.address, durations, self.node)
        slots = Slots(config.slots)
        metrics.slots.set(slots.total)
        metrics.slots_used.set_function(lambda: slots.used)
        return Identity(
            self.config,
            self.wallet,
            self.clients,
            durations,
            metrics,
            slots,
            self.ending,
            EngineWatch(self.clients.engine, engine, config.gpu_enabled),
            Disk(config.tasks_dir, config.min_free_disk),
        )

    async def _leave(self, tree: trio.CancelScope) -> None:
        """End at once when there is no work at hand; a membership that has some ends itself."""
        await self.ending.draining.wait()
        if not self._holding:
            tree.cancel()

    @property
    def _policy(self) -> Policy:
        settings = self.config.supervision
        return Policy(intensity=Intensity(settings.restarts, settings.period))

    @property
    def _member_policy(self) -> Policy:
        """Pool and node may be away, or change: for ever again. What a bug does is counted."""
        return attrs.evolve(self._policy, restart=Restart.TRANSIENT, borne=PASSING)

    def _server(self) -> Any:  # noqa: ANN401 - a Service
        view = View(
            root=self.node,
            durations=self._own.durations,
            metrics=self._own.metrics,
            alive=lambda: True,
            readiness=self._ready,
            redact=self.redactor.value,
        )
        worker = self.config.worker
        return partial(serve.run, make_app(view), bind=worker.bind, port=worker.port)

    def _member(self, node: Node) -> Any:  # noqa: ANN401 - a Service
        async def one(*, task_status: trio.TaskStatus[None]) -> None:
            if self.ending.draining.is_set():
                return
            node.doing = f"asking the scheduler at {self.config.scheduler.url}"
            terms = await join.ask(
                api_of(self._own), self.clients.pool, self.config.scheduler.pool_address
            )
            host = httpx.URL(terms.chain.node_url).host
            async with self.clients.node(host) as client:
                chain = build_chain(self._own, terms, client)
                node.doing = f"asking the node at {chain.provider.host}"
                await check_chain(chain, terms)
                model = worker_model(self.config, self.wallet.address)
                member = build_member(self._own, terms, chain, model)
                await self._hold(node, chain, member, task_status)

        return one

    async def _hold(
        self, node: Node, chain: Chain, member: Member, task_status: trio.TaskStatus[None]
    ) -> None:
        own = self._own
        own.metrics.chain_block_latest.set_function(
            lambda: chain.blocks.latest.number if chain.blocks.latest else 0
        )
        self._ready.obstacles = member.obstacles
        node.doing = f"member of {member.terms.config.pool_address}"
        with (
            node.child("blocks") as blocks,
            node.child("transactions") as transactions,
            node.child("wallet") as wallet,
            node.child("membership") as held,
        ):
            async with trio.open_nursery() as nursery:
                run_blocks = partial(chain.blocks.run, blocks)
                await nursery.start(supervise, run_blocks, blocks, self._policy)
                run_writer = partial(chain.transactions.run, transactions)
                nursery.start_soon(supervise, run_writer, transactions, self._policy)
                count = partial(count_transactions, chain.hub, own.metrics)
                nursery.start_soon(supervise, count, wallet, self._policy)
                task_status.started()
                held.enter(State.RUNNING)
                try:
                    self._holding = True
                    await membership.run(member, held, self._seat)
                finally:
                    self._holding = False
                    self._ready.attendance = self._ready.obstacles = None
                nursery.cancel_scope.cancel()

    def _seat(self, attendance: Attendance) -> None:
        self._ready.attendance = attendance


#: What a membership fails with when the world around it is not as it should be.
PASSING: Final = (Transient, Unauthorized, Rejected, SessionLost, TermsChanged, Interrupted)

#: Seconds from SIGINT, or a second SIGTERM, to the end: containers are stopped within two.
STOP_LIMIT: Final = 4.0

#: Seconds that everything has to end, stopped containers included. What takes longer never ends.
ENDING_LIMIT: Final = 45.0


async def check_chain(chain: Chain, terms: Terms) -> None:
    """Raise `Fatal` when the node is of another chain than the pool, `Unavailable` without one."""
    found = int(await chain.provider.call("eth_chainId"), 16)
    if found != terms.chain.chain_id:
        raise Fatal(
            f"the node at {chain.provider.host} is of chain {found}, the pool works on chain "
            f"{terms.chain.chain_id}: correct IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS"
        )
