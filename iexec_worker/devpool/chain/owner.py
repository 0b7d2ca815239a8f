"""The chain as the pool's owner sees and changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iexec_worker.devpool.chain.onchain import (
    Asset,
    Block,
    PoolApp,
    PoolContribution,
    PoolDataset,
    PoolDeal,
    PoolTask,
)
from iexec_worker.model import ContributionStatus, TaskStatus

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.contracts import Contracts
    from iexec_worker.devpool.chain.rpc import Rpc
    from iexec_worker.devpool.chain.sender import Receipt, Sender

__all__ = [
    "Asset",
    "Block",
    "PoolApp",
    "PoolChain",
    "PoolContribution",
    "PoolDataset",
    "PoolDeal",
    "PoolTask",
]


class PoolChain:
    """
    Reads, transactions and signatures of the owner of one workerpool.

    Addresses and hashes are lower-case `0x…`. Every method raises Unavailable when the node gives
    no answer; those that change the chain raise Reverted when the contracts refuse.
    """

    def __init__(self, rpc: Rpc, contracts: Contracts, owner: Sender, pool_address: str) -> None:
        self._rpc = rpc
        self._hub_abi = contracts.hub.abi
        self._owner = owner
        self.url = rpc.url
        self.chain_id = contracts.chain_id
        self.hub = contracts.hub.address
        self.pool_address = pool_address
        self.owner_address = owner.address

    async def latest_block(self) -> Block:
        """The head of the chain."""
        block = await self._rpc.call("eth_getBlockByNumber", "latest", False)
        return Block(number=int(block["number"], 16), timestamp=int(block["timestamp"], 16))

    async def task(self, task_id: str) -> PoolTask | None:
        """The task, or None while it is not initialized."""
        seen = await self._view("viewTask", _bytes(task_id))
        if seen["status"] == TaskStatus.UNSET:
            return None
        return PoolTask(
            task_id=task_id,
            status=TaskStatus(seen["status"]),
            deal_id=_hex(seen["dealid"]),
            index=seen["idx"],
            contribution_deadline=seen["contributionDeadline"],
            reveal_deadline=seen["revealDeadline"],
            final_deadline=seen["finalDeadline"],
            consensus_value=_hex(seen["consensusValue"]),
            reveal_counter=seen["revealCounter"],
            winner_counter=seen["winnerCounter"],
            contributors=tuple(seen["contributors"]),
            result_digest=_hex(seen["resultDigest"]),
            results=seen["results"],
            results_callback=seen["resultsCallback"],
        )

    async def deal(self, deal_id: str) -> PoolDeal | None:
        """The deal, or None if no orders were matched under that id."""
        seen = await self._view("viewDeal", _bytes(deal_id))
        if seen["botSize"] == 0:
            return None
        return PoolDeal(
            deal_id=deal_id,
            app=Asset(**seen["app"]),
            dataset=Asset(**seen["dataset"]),
            workerpool=Asset(**seen["workerpool"]),
            trust=seen["trust"],
            category=seen["category"],
            tag=_hex(seen["tag"]),
            requester=seen["requester"],
            beneficiary=seen["beneficiary"],
            callback=seen["callback"],
            params=seen["params"],
            start_time=seen["startTime"],
            bot_first=seen["botFirst"],
            bot_size=seen["botSize"],
            worker_stake=seen["workerStake"],
        )

    async def app(self, address: str) -> PoolApp:
        """What is registered as app *address*."""
        seen = await self._view("viewApp", address)
        return PoolApp(
            image=seen["m_appMultiaddr"].decode("utf-8", "replace"),
            checksum=_hex(seen["m_appChecksum"]),
            enclave=seen["m_appMREnclave"].decode("utf-8", "replace"),
        )

    async def dataset(self, address: str) -> PoolDataset:
        """What is registered as dataset *address*."""
        seen = await self._view("viewDataset", address)
        return PoolDataset(seen["m_datasetMultiaddr"], _hex(seen["m_datasetChecksum"]))

    async def contribution(self, task_id: str, worker: str) -> PoolContribution:
        """What *worker* contributed; status UNSET if nothing."""
        seen = await self._view("viewContribution", _bytes(task_id), worker)
        return PoolContribution(
            status=ContributionStatus(seen["status"]),
            result_hash=_hex(seen["resultHash"]),
            result_seal=_hex(seen["resultSeal"]),
            challenge=seen["enclaveChallenge"],
            weight=seen["weight"],
        )

    async def score(self, worker: str) -> int:
        """The worker's score in PoCo; 0 for a newcomer."""
        return int(await self._view("viewScore", worker))

    async def category_time(self, category: int) -> int:
        """The time reference T of a category in seconds; raises Reverted for an unknown one."""
        return int((await self._view("viewCategory", category))["workClockTimeRef"])

    async def balance(self, address: str) -> int:
        """The native balance in wei."""
        return int(await self._rpc.call("eth_getBalance", address, "latest"), 16)

    async def initialize(self, deal_id: str, index: int) -> str:
        """Initialize task *index* of a deal; returns its id once that is mined."""
        receipt = await self._send("initialize", _bytes(deal_id), index)
        topic = self._hub_abi.topic("TaskInitialize")
        found = (log["topics"] for log in receipt.logs)
        return next(str(topics[1]) for topics in found if topics[0] == topic)

    async def finalize(self, task_id: str, results: bytes, callback: bytes) -> None:
        """Finalize a revealed task; returns once that is mined."""
        # A failing callback is forgiven, but only if it had its 100,000 gas: an estimate may be
        # met without them.
        await self._send("finalize", _bytes(task_id), results, callback, spare_gas=400_000)

    async def deals_since(self, block: int) -> tuple[list[str], int]:
        """
        The deals made for this pool, by anybody, in blocks *block* and later.

        The second value is the block to ask from the next time.
        """
        head = (await self.latest_block()).number
        if head < block:
            return [], block
        topics = [self._hub_abi.topic("SchedulerNotice"), _topic(self.pool_address)]
        logs = await self._rpc.logs(self.hub, topics, first=block, last=head)
        found = [self._hub_abi.data("SchedulerNotice", _bytes(log["data"])) for log in logs]
        return [_hex(deal["dealid"]) for deal in found], head + 1

    async def consensus_block(self, task_id: str) -> int | None:
        """The block in which the contributions to a task (last) agreed, None before that."""
        topics = [self._hub_abi.topic("TaskConsensus"), task_id]
        logs = await self._rpc.logs(self.hub, topics, first=0)
        return int(logs[-1]["blockNumber"], 16) if logs else None

    def sign_prefixed(self, hash_hex: str) -> str:
        """The owner's prefixed signature of a 32-byte hash: 65 bytes, v 27 or 28."""
        return self._owner.sign_prefixed(hash_hex)

    async def _view(self, function: str, *values: object) -> Any:  # noqa: ANN401  # the ABI knows the type
        return await self._rpc.view(self.hub, self._hub_abi, function, *values)

    async def _send(self, function: str, *values: object, spare_gas: int = 0) -> Receipt:
        data = self._hub_abi.call(function, *values)
        return await self._owner.send(self.hub, data, spare_gas=spare_gas)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


def _topic(address: str) -> str:
    return "0x" + address.removeprefix("0x").rjust(64, "0")
