"""Deals made for the pool, by whomever, become tasks that are ready to be handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import define

from iexec_worker.devpool.chain.market import task_id
from iexec_worker.devpool.chain.tags import framework_of
from iexec_worker.devpool.scheduler import deal_params
from iexec_worker.devpool.scheduler.state import Task, TaskState
from iexec_worker.errors import Reverted, Unavailable

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.onchain import PoolDeal
    from iexec_worker.devpool.scheduler.evaluation import Evaluation
    from iexec_worker.devpool.scheduler.ports import Chain, SecretManagement
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Store

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class Deals:
    """Watches for deals and initialises their tasks."""

    store: Store
    chain: Chain
    sms: SecretManagement
    evaluation: Evaluation
    settings: SchedulerSettings

    async def run(self) -> None:
        """Look for deals until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as reason:
                log.warning("no deals", reason=str(reason))
            await trio.sleep(self.settings.periods.deals)

    async def look(self) -> None:
        """Take on the deals made since the last look. Raises Unavailable."""
        found, following = await self.chain.deals_since(self.store.next_block)
        for deal_id in found:
            deal = await self.chain.deal(deal_id)
            if deal is not None:
                self._receive(deal, await self.chain.category_time(deal.category))
        self.store.next_block = following
        for task in self.store.in_state(TaskState.RECEIVED):
            await self._initialize(task)

    def _receive(self, deal: PoolDeal, period: int) -> None:
        if deal.start_time + 7 * period <= self.store.clock.now():
            log.info("deal skipped: too late to contribute", deal=deal.deal_id)
            return
        framework = framework_of(deal.tag, self.settings.numbers)
        if framework is not None and deal.trust not in (0, 1):
            log.info("deal skipped: a TEE task with a trust above 1", deal=deal.deal_id)
            return
        params = deal_params.read(deal.params, self.settings.numbers[0])
        store = self.store
        for index in range(deal.bot_first, deal.bot_first + deal.bot_size):
            key = task_id(deal.deal_id, index)
            if key not in store.tasks:
                task = Task(key, deal, index, period, params, store.changes, store.clock, framework)
                store.tasks[key] = task
                task.enter(TaskState.RECEIVED)

    async def _initialize(self, task: Task) -> None:
        task.enter(TaskState.INITIALIZING)
        try:
            ready = await self._prepare(task)
        except Unavailable:
            task.enter(TaskState.RECEIVED)
            raise
        if ready:
            task.enter(TaskState.INITIALIZED)
        else:
            self.evaluation.fail(task, TaskState.INITIALIZE_FAILED)

    async def _prepare(self, task: Task) -> bool:
        """Do what a task needs before it is given to anybody; False when it cannot be done."""
        if task.framework is not None:
            task.sms_url = await self.sms.url(task.framework)
            if task.sms_url is None:
                log.warning("TEE task refused: there is no SMS for it", task=task.chain_task_id)
                return False
        try:
            # Anyone may have initialised it already; that is as good.
            if await self.chain.task(task.chain_task_id) is None:
                await self.chain.initialize(task.deal.deal_id, task.index)
        except Reverted as reason:
            log.warning("not initialised", task=task.chain_task_id, reason=str(reason))
            return False
        return task.sms_url is None or await self._challenge(task, task.sms_url)

    async def _challenge(self, task: Task, sms_url: str) -> bool:
        challenge = await self.sms.challenge(sms_url, task.chain_task_id)
        if challenge is None:
            log.warning("TEE task refused: no enclave challenge", task=task.chain_task_id)
            return False
        task.enclave_challenge = challenge
        await self.sms.tell_proxy(sms_url, self.settings.result_proxy_url)
        return True
