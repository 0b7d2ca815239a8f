"""The root of the supervision tree."""

from __future__ import annotations

import math
import os
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.app import signals
from iexec_worker.app.clients import Clients, open_clients, open_sandbox
from iexec_worker.app.disk import Disk
from iexec_worker.app.enclaves import Enclaves, open_enclaves
from iexec_worker.app.identity import Identity
from iexec_worker.app.joining import Joining
from iexec_worker.app.readiness import Readiness
from iexec_worker.app.systemd import NO_UNIT, Notifier, Unit
from iexec_worker.app.watches import EngineWatch
from iexec_worker.chain.wallet import Wallet, exposed
from iexec_worker.errors import Fatal
from iexec_worker.membership.ending import Ending
from iexec_worker.membership.parking import announce_unmet
from iexec_worker.replicates.journal import Journal
from iexec_worker.replicates.slots import Slots
from iexec_worker.server import serve
from iexec_worker.server.app import make_app
from iexec_worker.server.view import View
from iexec_worker.supervise import (
    FOREVER,
    Escalated,
    Intensity,
    Policy,
    describe,
    ends_in_time,
    ends_within,
    supervise,
)
from iexec_worker.telemetry import logs
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node, State
from iexec_worker.versions import FULL_VERSION

if TYPE_CHECKING:
    from iexec_worker.config import Config
    from iexec_worker.engine.sandbox import Sandbox
    from iexec_worker.supervise import Service
    from iexec_worker.telemetry.redaction import Redactor

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def run(
    config: Config,
    log_format: str,
    node: Node,
    unit: Unit = NO_UNIT,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Be a worker until drained or stopped; started with the URL of its HTTP server.

    *node* becomes the root of the tree; *unit* is what systemd wants of this process.

    Raises `Fatal` for what only a person can mend, `Escalated` when a part fails too often.
    """
    redactor = logs.configure(config.telemetry.log_level, log_format, config.secrets)
    wallet = await trio.to_thread.run_sync(
        Wallet.decrypt, config.wallet.path, config.wallet.password
    )
    if warning := await trio.to_thread.run_sync(exposed, config.wallet.path):
        log.warning("others may use the wallet", reason=warning)
    log.info("worker starts", version=FULL_VERSION, name=config.worker.name, wallet=wallet.address)
    async with (
        open_clients(config) as clients,
        open_sandbox(config, clients.engine) as sandbox,
        open_enclaves(config, clients.engine, wallet.address) as enclaves,
    ):
        root = Root(config, wallet, clients, sandbox, enclaves, redactor, node, unit)
        try:
            await root.run(task_status=task_status)
        except* (Fatal, Escalated) as group:
            # One line for a person; the log has what led to it.
            raise Fatal(describe(group)) from group
    log.info("worker ends")


#: Seconds from SIGINT, or a second SIGTERM, to the end: containers are stopped within two.
STOP_LIMIT: Final = 4.0

#: Seconds that everything has to end, stopped containers included. What takes longer never ends.
ENDING_LIMIT: Final = 45.0


@define(eq=False)
class Root:
    """
    Opens the tree.

        worker
        ├── signals, systemd, server, engine, disk    there before any pool is
        └── member                                    see `Joining`
            ├── blocks, transactions, wallet
            └── membership                            session, replicates, janitor
    """

    config: Config
    wallet: Wallet
    clients: Clients
    sandbox: Sandbox
    enclaves: Enclaves
    redactor: Redactor
    node: Node = field(factory=lambda: Node("worker"))
    unit: Unit = NO_UNIT
    ending: Ending = field(init=False)

    @ending.default
    def _in_the_operators_time(self) -> Ending:
        return Ending(self.config.supervision.drain_timeout)

    async def run(self, *, task_status: trio.TaskStatus[str]) -> None:
        """Run all parts; ends when the membership has been drained."""
        give_up = partial(os._exit, os.EX_SOFTWARE)
        # Names are looked up in threads, too: pings must not queue behind files on a slow disk.
        # What runs in them is bounded by the tasks at hand.
        trio.to_thread.current_default_thread_limiter().total_tokens = math.inf
        with (
            self.node.child("systemd") as systemd,
            self.node.child("server") as server,
            self.node.child("engine") as engine,
            self.node.child("disk") as disk,
            self.node.child("member") as member,
        ):
            own = self._identity(engine, disk)
            await own.disk.require()
            ready = Readiness(own.engine, own.disk, self.ending.draining)
            joining = Joining(own, ready, self._policy, member)
            notifier = Notifier(self.unit, self.ending, lambda: ready.line, self.alive, systemd)
            async with (
                ends_within(self.node, STOP_LIMIT, give_up, since=self.ending.stopping),
                ends_in_time(self.node, ENDING_LIMIT, give_up) as nursery,
            ):
                await nursery.start(signals.run, self.ending)
                nursery.start_soon(self._leave, joining, nursery.cancel_scope)
                nursery.start_soon(supervise, own.engine.run, engine, FOREVER)
                nursery.start_soon(supervise, own.disk.run, disk, FOREVER)
                url = await nursery.start(
                    supervise, self._server(own, ready, joining), server, self._policy
                )
                log.info("serving", url=url)
                nursery.start_soon(supervise, notifier.run, systemd, FOREVER)
                self.node.enter(State.RUNNING)
                task_status.started(url)
                await supervise(joining.run, member, joining.own_policy)

    def alive(self) -> bool:
        """False when a part has ended that must not: only another process would bring it back."""
        return all(part.state is not State.STOPPED for part in self.node.children.values())

    def _identity(self, engine: Node, disk: Node) -> Identity:
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
            EngineWatch(self.clients.engine, engine, self.sandbox, config.gpu_enabled),
            Disk(config.tasks_dir, config.min_free_disk, disk),
            self.sandbox,
            self.enclaves,
        )

    async def _leave(self, joining: Joining, tree: trio.CancelScope) -> None:
        """End at once when there is no work at hand; a membership that has some ends itself."""
        await self.ending.draining.wait()
        if not joining.holding:
            await announce_unmet(Journal(self.config.worker.tasks_dir))
        if not joining.holding:
            tree.cancel()

    @property
    def _policy(self) -> Policy:
        settings = self.config.supervision
        return Policy(intensity=Intensity(settings.restarts, settings.period))

    def _server(self, own: Identity, ready: Readiness, joining: Joining) -> Service:
        view = View(
            root=self.node,
            durations=own.durations,
            metrics=own.metrics,
            alive=self.alive,
            readiness=ready,
            redact=self.redactor.value,
            settle=joining.settle,
            reports=joining.reports,
            pool_version=lambda: joining.pool_version,
            is_container=self.enclaves.network.has,
        )
        worker = self.config.worker
        return partial(serve.run, make_app(view), bind=worker.bind, port=worker.port)
