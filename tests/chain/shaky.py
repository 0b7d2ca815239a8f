"""A chain in memory, seen through nodes that lag, forget, hang up and disagree."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio
from attrs import define, field, frozen

from iexec_worker.chain import abi
from iexec_worker.chain.transactions.signed import SignedTx

from .conftest import RpcError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HUB: Final = "0x" + 40 * "b"
BLOCK_TIME: Final = 5.0

_FIRST: Final = 100
_LABELS: Final = {
    abi.CONTRIBUTE.selector.hex(): "contribute",
    abi.REVEAL.selector.hex(): "reveal",
}
_EVENTS: Final = {"contribute": abi.TASK_CONTRIBUTE, "reveal": abi.TASK_REVEAL}

#: How often each fault strikes: requests, blocks and transactions have their own number of chances.
BAD: Final[Mapping[str, float]] = MappingProxyType(
    {
        "hung up before": 0.03,
        "hung up after": 0.03,
        "reorganised": 0.15,
        "lagging": 0.2,
        "mempool forgotten": 0.1,
        "dear": 0.1,
        "left out": 0.2,
    }
)

#: So that transactions are replaced again and again.
WORSE: Final[Mapping[str, float]] = MappingProxyType(
    {**BAD, "reorganised": 0.25, "mempool forgotten": 0.2, "dear": 0.35, "left out": 0.45}
)

Deed = tuple[str, str]
Block = tuple[SignedTx, ...]


def deed_of(data: str) -> Deed:
    """What a call does: its label and its task."""
    return _LABELS[data[2:10]], "0x" + data[10:74]


@frozen
class State:
    """What the blocks up to one have done; all transactions are of one wallet."""

    head: int
    mined: dict[str, tuple[SignedTx, int, bool]]
    done: frozenset[Deed]

    @classmethod
    def after(cls, blocks: list[Block]) -> State:
        mined: dict[str, tuple[SignedTx, int, bool]] = {}
        done: set[Deed] = set()
        for number, block in enumerate(blocks, _FIRST):
            for tx in block:
                works = allowed(deed_of(tx.data), done)
                mined[tx.tx_hash] = tx, number, works
                done |= {deed_of(tx.data)} if works else set()
        return cls(_FIRST + len(blocks) - 1, mined, frozenset(done))


def allowed(deed: Deed, done: set[Deed] | frozenset[Deed]) -> bool:
    """PoCo's rules, as far as one worker goes: once each, and no reveal of nothing."""
    label, task = deed
    return deed not in done and (label == "contribute" or ("contribute", task) in done)


@define(eq=False)
class Shaky:
    """
    The chain and its *nodes*, each with a mempool of its own and some blocks behind the others.

    Everything bad comes from *random* and only until *calm* is set.
    """

    random: Random
    odds: Mapping[str, float] = BAD
    nodes: int = 2
    calm: bool = False
    price: int = 1
    blocks: list[Block] = field(factory=lambda: [()])
    lags: list[int] = field(init=False)
    pools: list[dict[str, SignedTx]] = field(init=False)
    #: Everything that ever reached a node.
    seen: dict[str, SignedTx] = field(factory=dict)
    faults: Counter[str] = field(factory=Counter)

    def __attrs_post_init__(self) -> None:
        self.lags = [0] * self.nodes
        self.pools = [{} for _ in range(self.nodes)]

    @property
    def urls(self) -> list[str]:
        return [f"http://node-{number}" for number in range(self.nodes)]

    def state(self, lag: int = 0) -> State:
        return State.after(self.blocks[: len(self.blocks) - lag] or self.blocks[:1])

    async def run(self) -> None:
        """Make blocks, and trouble."""
        while True:
            await trio.sleep(BLOCK_TIME)
            self._trouble()
            self.blocks.append(tuple(self._ready()))

    async def serve(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, one batch, or nothing."""
        number = int(request.url.host.removeprefix("node-"))
        await trio.sleep(self.random.uniform(0, 0.2))
        if self._strikes("hung up before"):
            raise httpx.ReadError("hung up", request=request)
        asked = json.loads(request.content)
        calls = asked if isinstance(asked, list) else [asked]
        answers = [self._answer(number, call) for call in calls]
        await trio.sleep(self.random.uniform(0, 0.2))
        if self._strikes("hung up after"):
            raise httpx.ReadError("hung up", request=request)
        return httpx.Response(200, json=answers if isinstance(asked, list) else answers[0])

    def _strikes(self, fault: str) -> bool:
        strikes = not self.calm and self.random.random() < self.odds[fault]
        self.faults[fault] += strikes
        return strikes

    def _trouble(self) -> None:
        if self.calm:
            self.lags, self.price = [0] * self.nodes, 1
            return
        if self._strikes("reorganised"):
            self._reorganise(self.random.randint(1, 3))
        for number in range(self.nodes):
            if self._strikes("lagging"):
                self.lags[number] = self.random.randint(0, 4)
            if self._strikes("mempool forgotten"):
                self.pools[number].clear()
        if self._strikes("dear"):
            self.price = self.random.choice([1, 1, 3, 20])

    def _reorganise(self, depth: int) -> None:
        gone = self.blocks[-depth:] if depth < len(self.blocks) else []
        del self.blocks[len(self.blocks) - len(gone) :]
        self.blocks += [()] * len(gone)
        for tx in (tx for block in gone for tx in block):
            # Some nodes take the transactions of lost blocks back, some do not.
            if self.random.random() < 0.5:
                self.random.choice(self.pools)[tx.tx_hash] = tx

    def _ready(self) -> Iterator[SignedTx]:
        """What the next block takes: the dearest of each nonce, without gaps."""
        nonce = len(self.state().mined)
        known = sorted((tx for pool in self.pools for tx in pool.values()), key=lambda tx: tx.price)
        dearest = {tx.nonce: tx for tx in known if tx.price >= self.price}
        while nonce in dearest and not self._strikes("left out"):
            yield dearest[nonce]
            nonce += 1

    def _answer(self, number: int, call: dict[str, Any]) -> dict[str, Any]:
        state = self.state(self.lags[number])
        try:
            result = self._result(number, state, call["method"], call["params"])
        except RpcError as error:
            return {"jsonrpc": "2.0", "id": call["id"], "error": error.error}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}

    def _result(  # noqa: C901, PLR0911 - as many methods as a node has
        self, number: int, state: State, method: str, params: list[Any]
    ) -> object:
        pool = self.pools[number]
        match method:
            case "eth_getBlockByNumber":
                return {"number": hex(state.head), "timestamp": hex(self._time(state.head))}
            case "eth_blockNumber":
                return hex(state.head)
            case "eth_gasPrice":
                return hex(self.price)
            case "eth_getBalance":
                return hex(10**18)
            case "eth_getTransactionCount":
                count = len(state.mined)
                waiting = {tx.nonce for tx in pool.values()}
                while params[1] == "pending" and count in waiting:
                    count += 1
                return hex(count)
            case "eth_call":
                if params[0]["data"][2:10] not in _LABELS:
                    raise RpcError(-32601, "no views here")
                if not allowed(deed_of(params[0]["data"]), state.done):
                    raise RpcError(3, "execution reverted")
                return "0x"
            case "eth_getTransactionReceipt":
                return _receipt(state, params[0])
        assert method == "eth_sendRawTransaction", method
        return self._take(pool, state, SignedTx.from_hex(params[0]))

    def _time(self, number: int) -> int:
        return int((number - _FIRST) * BLOCK_TIME)

    def _take(self, pool: dict[str, SignedTx], state: State, tx: SignedTx) -> str:
        self.seen[tx.tx_hash] = tx
        if tx.tx_hash in pool:
            raise RpcError(-32000, "already known")
        if tx.nonce < len(state.mined):
            raise RpcError(-32000, "nonce too low")
        if tx.price < self.price:
            raise RpcError(-32000, "transaction underpriced")
        rival = next((one for one in pool.values() if one.nonce == tx.nonce), None)
        if rival is not None:
            if tx.price * 10 < rival.price * 11:
                raise RpcError(-32000, "replacement transaction underpriced")
            del pool[rival.tx_hash]
        pool[tx.tx_hash] = tx
        return tx.tx_hash


def _receipt(state: State, tx_hash: str) -> dict[str, Any] | None:
    if tx_hash not in state.mined:
        return None
    tx, number, works = state.mined[tx_hash]
    label, task = deed_of(tx.data)
    log = {"address": HUB, "topics": [_EVENTS[label], task], "blockNumber": hex(number)}
    return {
        "status": hex(works),
        "blockNumber": hex(number),
        "transactionHash": tx_hash,
        "gasUsed": hex(tx.gas // 2),
        "logs": [log] if works else [],
    }
