"""The scheduler as workers see it: one address behind which processes come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define, field

from iexec_worker.devpool.broker.notifications import Notifications
from iexec_worker.devpool.broker.sockjs import SockJsSettings
from iexec_worker.devpool.broker.stomp import SimpleBroker
from iexec_worker.devpool.scheduler.process import Process
from iexec_worker.devpool.scheduler.sms import NoSms
from iexec_worker.devpool.scheduler.state import Store, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iexec_worker.devpool.http.record import Record
    from iexec_worker.devpool.scheduler.ports import Chain, Results, SecretManagement
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Replicate, Task
    from iexec_worker.wire import Status


@define(eq=False, kw_only=True)
class Scheduler:
    """Keeps what outlives a process, and the process that runs now."""

    settings: SchedulerSettings
    chain: Chain
    results: Results
    record: Record
    sms: SecretManagement = field(factory=NoSms)
    sockjs_settings: SockJsSettings = field(factory=SockJsSettings)
    store: Store = field(factory=Store)
    notifications: Notifications = field(factory=lambda: Notifications(SimpleBroker()))
    process: Process = field(init=False)
    _exchanged: trio.Event = field(factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run one process after the other until cancelled; started with the first."""
        while True:
            async with trio.open_nursery() as nursery:
                process = self._make()
                await nursery.start(process.run)
                self.process = process
                self._exchanged.set()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED

    async def restart(self, settings: SchedulerSettings | None = None) -> None:
        """
        Exchange the process for a new one, with other *settings* if given.

        Tokens, sessions and signs of life are lost, tasks and workers are kept.
        """
        self.settings = settings or self.settings
        self._exchanged = trio.Event()
        self.process.stop()
        await self._exchanged.wait()

    async def task_status(self, chain_task_id: str, *states: TaskState | str) -> Task:
        """Wait until a task is in one of *states*."""

        def look() -> Task | None:
            task = self.store.tasks.get(chain_task_id)
            return task if task is not None and task.state in states else None

        return await self.store.changes.until(look)

    async def replicate_status(self, chain_task_id: str, wallet: str, status: Status) -> Replicate:
        """Wait until a replicate has had *status*."""

        def look() -> Replicate | None:
            found = self.store.replicate(chain_task_id, wallet)
            return found[1] if found is not None and found[1].ever(status) else None

        return await self.store.changes.until(look)

    async def registered(self, wallets: Iterable[str]) -> None:
        """Wait until all *wallets* have registered."""
        wanted = set(wallets)
        await self.store.changes.until(lambda: wanted <= self.store.workers.keys())

    def _make(self) -> Process:
        return Process(
            self.settings,
            self.store,
            self.chain,
            self.results,
            self.sms,
            self.notifications,
            self.sockjs_settings,
        )
