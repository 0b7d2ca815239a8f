"""A chain and a result proxy in memory, and a scheduler around them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs
from attrs import define, field

from iexec_worker.devpool.chain.market import task_id
from iexec_worker.devpool.chain.onchain import Asset, Block, PoolContribution, PoolDeal, PoolTask
from iexec_worker.devpool.chain.tags import framework_of
from iexec_worker.devpool.scheduler import deal_params
from iexec_worker.devpool.scheduler.messages import Model
from iexec_worker.devpool.scheduler.state import Replicate, Task, TaskState
from iexec_worker.errors import Unavailable
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, ContributionStatus, TaskStatus, TeeFramework
from iexec_worker.wire import Status

if TYPE_CHECKING:
    import httpx

    from iexec_worker.devpool.scheduler.scheduler import Scheduler

DEAL = "0x" + 64 * "d"
TASK = task_id(DEAL, 0)
WALLET = "0x" + 40 * "1"
OTHER = "0x" + 40 * "2"
CHALLENGE = "0x" + 40 * "e"
AGREED = "0x" + 64 * "c"
NOTHING = PoolContribution(ContributionStatus.UNSET, ZERO_HASH, ZERO_HASH, ZERO_ADDRESS, 0)


def asset(price: int = 0) -> Asset:
    return Asset(ZERO_ADDRESS, ZERO_ADDRESS, price)


def deal(**changes: object) -> PoolDeal:
    plain = PoolDeal(
        deal_id=DEAL,
        app=asset(),
        dataset=asset(),
        workerpool=asset(),
        trust=1,
        category=0,
        tag=ZERO_HASH,
        requester=ZERO_ADDRESS,
        beneficiary=ZERO_ADDRESS,
        callback=ZERO_ADDRESS,
        params='{"iexec_result_storage_provider": "ipfs"}',
        start_time=int(time.time()),
        bot_first=0,
        bot_size=1,
        worker_stake=0,
    )
    return attrs.evolve(plain, **changes)  # type: ignore[arg-type]  # fields of a deal


@define(eq=False)
class FakeChain:
    owner_address: str = "0x" + 40 * "f"
    number: int = 10
    away: bool = False
    statuses: dict[str, TaskStatus] = field(factory=dict)
    deals: dict[str, PoolDeal] = field(factory=dict)
    contributions: dict[tuple[str, str], PoolContribution] = field(factory=dict)
    winners: int = 1
    results: bytes = b""
    revealed: int = 0
    balances: dict[str, int] = field(factory=dict)
    finalized: list[tuple[str, bytes, bytes]] = field(factory=list)

    async def latest_block(self) -> Block:
        if self.away:
            raise Unavailable("no node")
        return Block(self.number, int(time.time()))

    async def task(self, task_id: str) -> PoolTask | None:
        if task_id not in self.statuses:
            return None
        now = int(time.time())
        return PoolTask(
            task_id=task_id,
            status=self.statuses[task_id],
            deal_id=DEAL,
            index=0,
            contribution_deadline=now + 700,
            reveal_deadline=now + 200,
            final_deadline=now + 1000,
            consensus_value=AGREED,
            reveal_counter=self.revealed,
            winner_counter=self.winners,
            contributors=(),
            result_digest=ZERO_HASH,
            results=self.results,
            results_callback=b"",
        )

    async def deal(self, deal_id: str) -> PoolDeal | None:
        return self.deals.get(deal_id)

    async def contribution(self, task_id: str, worker: str) -> PoolContribution:
        return self.contributions.get((task_id, worker), NOTHING)

    async def score(self, worker: str) -> int:
        return 0

    async def category_time(self, category: int) -> int:
        return 100

    async def balance(self, address: str) -> int:
        return self.balances.get(address, 0)

    async def initialize(self, deal_id: str, index: int) -> str:
        key = task_id(deal_id, index)
        self.statuses[key] = TaskStatus.ACTIVE
        return key

    async def finalize(self, task_id: str, results: bytes, callback: bytes) -> None:
        self.finalized.append((task_id, results, callback))
        self.statuses[task_id] = TaskStatus.COMPLETED

    async def deals_since(self, block: int) -> tuple[list[str], int]:
        return list(self.deals), block

    async def consensus_block(self, task_id: str) -> int | None:
        return 7 if self.statuses[task_id] is TaskStatus.REVEALING else None

    def sign_prefixed(self, hash_hex: str) -> str:
        return "0x" + 130 * "5"

    def contribute(self, status: ContributionStatus, wallet: str = WALLET) -> None:
        known = attrs.evolve(NOTHING, status=status, result_hash=AGREED)
        self.contributions[(TASK, wallet)] = known


@define(eq=False)
class FakeResults:
    tasks: set[str] = field(factory=set)

    async def stored(self, task_id: str, proxy: str, challenge: str) -> bool:
        return task_id in self.tasks


@define(eq=False)
class FakeSms:
    """The SMS of some frameworks; *told*: what else was told where."""

    urls: dict[TeeFramework, str] = field(factory=dict)
    silent: bool = False
    told: list[tuple[str, str]] = field(factory=list)

    async def url(self, framework: TeeFramework) -> str | None:
        return self.urls.get(framework)

    async def challenge(self, url: str, task_id: str) -> str | None:
        return None if self.silent else CHALLENGE

    async def tell_proxy(self, url: str, proxy: str) -> None:
        self.told.append((url, proxy))


@define(eq=False)
class Desk:
    """A scheduler with what surrounds it, and the hands of a worker with a token."""

    scheduler: Scheduler
    chain: FakeChain
    results: FakeResults
    sms: FakeSms
    client: httpx.AsyncClient

    def token(self, wallet: str = WALLET) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.scheduler.process.memory.tokens.issue(wallet)}"}

    def register(self, wallet: str = WALLET, **model: object) -> None:
        plain = Model(
            "w", "Linux", "amd64", 2, 4, gpu_enabled=False, tee_enabled=False, tdx_enabled=False
        )
        said = attrs.evolve(plain, **model)  # type: ignore[arg-type]  # fields of a model
        self.scheduler.process.register(wallet, said)

    def add_task(self, state: TaskState, **terms: object) -> Task:
        store, made = self.scheduler.store, deal(**terms)
        params = deal_params.read(made.params, self.scheduler.settings.numbers[0])
        framework = framework_of(made.tag, self.scheduler.settings.numbers)
        task = Task(TASK, made, 0, 100, params, store.changes, store.clock, framework)
        task.enclave_challenge = ZERO_ADDRESS if framework is None else CHALLENGE
        store.tasks[TASK] = task
        self.chain.statuses[TASK] = TaskStatus.ACTIVE
        task.enter(state)
        return task

    def add_replicate(self, task: Task, *history: Status, wallet: str = WALLET) -> Replicate:
        replicate = task.replicates[wallet] = Replicate(wallet, task.clock)
        for status in (Status.CREATED, *history):
            replicate.add(status, by_worker=True)
        if worker := self.scheduler.store.workers.get(wallet):
            worker.participating.append(TASK)
            worker.computing.append(TASK)
        return replicate

    async def ask(self, wallet: str = WALLET, block: int = 1) -> httpx.Response:
        query = {"blockNumber": block}
        header = self.token(wallet)
        return await self.client.get("/replicates/available", params=query, headers=header)

    async def interrupted(self, wallet: str = WALLET) -> list[dict[str, object]]:
        header, query = self.token(wallet), {"blockNumber": 1}
        answer = await self.client.get("/replicates/interrupted", params=query, headers=header)
        found: list[dict[str, object]] = answer.json()
        return found

    async def tell(
        self, status: str, wallet: str = WALLET, task: str = TASK, **details: object
    ) -> tuple[int, object]:
        body = {"status": status, "details": details}
        url = f"/replicates/{task}/updateStatus"
        answer = await self.client.post(url, json=body, headers=self.token(wallet))
        return answer.status_code, answer.json() if answer.content else None
