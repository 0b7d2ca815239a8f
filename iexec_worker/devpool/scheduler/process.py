"""One process of the scheduler: everything that a restart loses, built around what it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define, field

from iexec_worker.devpool.broker.sockjs import SockJs, SockJsSettings
from iexec_worker.devpool.scheduler import liveness
from iexec_worker.devpool.scheduler.deals import Deals
from iexec_worker.devpool.scheduler.evaluation import Evaluation
from iexec_worker.devpool.scheduler.interrupted import Interrupted
from iexec_worker.devpool.scheduler.memory import Memory
from iexec_worker.devpool.scheduler.monitor import ChainMonitor
from iexec_worker.devpool.scheduler.offers import Offers
from iexec_worker.devpool.scheduler.state import TaskState, Worker
from iexec_worker.devpool.scheduler.timers import Timers
from iexec_worker.devpool.scheduler.updates import Updates
from iexec_worker.devpool.scheduler.verification import Verification

if TYPE_CHECKING:
    from iexec_worker.devpool.broker.notifications import Notifications
    from iexec_worker.devpool.scheduler.messages import Model
    from iexec_worker.devpool.scheduler.ports import Chain, Results, SecretManagement
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Store


@define(eq=False)
class Process:
    """
    The parts of one scheduler process, put together.

    Its *memory* and *sockjs* sessions end with it; *store*, *chain* and *notifications* do not.
    """

    settings: SchedulerSettings
    store: Store
    chain: Chain
    results: Results
    sms: SecretManagement
    notifications: Notifications
    sockjs_settings: SockJsSettings
    memory: Memory = field(init=False)
    sockjs: SockJs = field(init=False)
    monitor: ChainMonitor = field(init=False)
    evaluation: Evaluation = field(init=False)
    verification: Verification = field(init=False)
    updates: Updates = field(init=False)
    offers: Offers = field(init=False)
    interrupted: Interrupted = field(init=False)
    deals: Deals = field(init=False)
    timers: Timers = field(init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def __attrs_post_init__(self) -> None:
        settings, store, chain = self.settings, self.store, self.chain
        self.memory = Memory(settings)
        self.sockjs = SockJs(settings=self.sockjs_settings)
        self.monitor = ChainMonitor(chain, settings, store.clock)
        self.evaluation = Evaluation(store, chain, self.notifications.publish, self.memory.alive)
        self.verification = Verification(chain, self.results, settings)
        self.updates = Updates(store, self.verification, self.evaluation, settings)
        self.offers = Offers(store, chain, self.verification, settings)
        self.interrupted = Interrupted(store, chain, self.verification, self.updates)
        self.deals = Deals(store, chain, self.sms, self.evaluation, settings)
        self.timers = Timers(store, self.evaluation, self.verification, self.updates, settings)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch chain and workers until stopped; started when requests may come."""
        self._resume()
        self.notifications.broker = self.sockjs.broker
        await self.monitor.look()
        with self._scope:
            async with trio.open_nursery() as nursery:
                self.updates.background = nursery
                nursery.start_soon(self.monitor.run)
                nursery.start_soon(self.deals.run)
                nursery.start_soon(self.timers.run)
                nursery.start_soon(self.sockjs.sweep)
                period = self.settings.periods.lost_check
                nursery.start_soon(liveness.watch, period, self.store, self.memory)
                task_status.started()

    def stop(self) -> None:
        """End `run`, and the sessions of all clients with it."""
        self._scope.cancel()
        self.sockjs.kill()

    def lets_in(self, wallet: str) -> bool:
        """True iff *wallet* may log in: compared as written."""
        return not self.settings.whitelist or wallet in self.settings.whitelist

    def register(self, wallet: str, model: Model) -> Worker:
        """Take a worker on; what it held before, it still holds."""
        self.memory.seen(wallet)
        worker = self.store.workers.setdefault(wallet, Worker(wallet, model))
        worker.model = model
        self.store.changes.ring()
        return worker

    def _resume(self) -> None:
        # What the process before was cancelled in the middle of is done again.
        for task in self.store.in_state(TaskState.INITIALIZING):
            task.enter(TaskState.RECEIVED)
        for task in self.store.in_state(TaskState.FINALIZING):
            task.enter(TaskState.RESULT_UPLOADED)
