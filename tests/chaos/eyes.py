"""The chain with the eyes and the hands of the pool's owner (`devpool.scheduler.ports.Chain`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define

from iexec_worker.devpool.chain.onchain import Asset, Block, PoolContribution, PoolDeal, PoolTask
from iexec_worker.model import ZERO_ADDRESS, TaskStatus
from tests.chaos.contracts import DEAL, OWNER, PERIOD, POOL, STAKE, TASK

if TYPE_CHECKING:
    from tests.chaos.contracts import Contracts
    from tests.chaos.node import Node


@define(eq=False)
class Eyes:
    """Looks at *node*'s contracts directly."""

    node: Node
    owner_address: str = OWNER.address

    async def _look(self) -> Contracts:
        await trio.lowlevel.checkpoint()
        self.node.advance()
        return self.node.contracts

    async def latest_block(self) -> Block:
        await self._look()
        return Block(self.node.at.block, self.node.at.time)

    async def task(self, task_id: str) -> PoolTask | None:
        known = await self._look()
        assert task_id == TASK
        return PoolTask(
            task_id=TASK,
            status=known.status,
            deal_id=DEAL,
            index=0,
            contribution_deadline=known.contribution_deadline,
            reveal_deadline=known.reveal_deadline,
            final_deadline=known.final_deadline,
            consensus_value=known.consensus,
            reveal_counter=known.revealed(),
            winner_counter=known.winners(),
            contributors=tuple(known.contributions),
            result_digest=known.digest,
            results=known.results,
            results_callback=known.received,
        )

    async def deal(self, deal_id: str) -> PoolDeal | None:
        known = await self._look()
        return PoolDeal(
            deal_id=DEAL,
            app=Asset("0x" + 40 * "a", ZERO_ADDRESS, 0),
            dataset=Asset(ZERO_ADDRESS, ZERO_ADDRESS, 0),
            workerpool=Asset(POOL, OWNER.address, 0),
            trust=known.deal.trust,
            category=0,
            tag=known.deal.tag,
            requester=ZERO_ADDRESS,
            beneficiary=ZERO_ADDRESS,
            callback=known.deal.callback,
            params=known.deal.params,
            start_time=known.start,
            bot_first=0,
            bot_size=1,
            worker_stake=STAKE,
        )

    async def contribution(self, task_id: str, worker: str) -> PoolContribution:
        ours = (await self._look()).of(worker)
        return PoolContribution(ours.status, ours.result_hash, ours.seal, ZERO_ADDRESS, 0)

    async def score(self, worker: str) -> int:
        return 0

    async def category_time(self, category: int) -> int:
        return PERIOD

    async def balance(self, address: str) -> int:
        return 10**18

    async def initialize(self, deal_id: str, index: int) -> str:
        return TASK

    async def finalize(self, task_id: str, results: bytes, callback: bytes) -> None:
        known = await self._look()
        known.status, known.results, known.received = TaskStatus.COMPLETED, results, callback

    async def deals_since(self, block: int) -> tuple[list[str], int]:
        return ([] if block else [DEAL]), 1

    async def consensus_block(self, task_id: str) -> int | None:
        return (await self._look()).consensus_block

    def sign_prefixed(self, hash_hex: str) -> str:
        return OWNER.sign_prefixed(hash_hex)
