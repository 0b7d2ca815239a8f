"""A chain node in memory: JSON-RPC on top, the contracts below, a block every few seconds."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import rlp  # type: ignore[import-untyped]  # it ships none
import trio
from attrs import define, field, frozen
from eth_account import Account
from eth_hash.auto import keccak

from iexec_worker.chain.abi import CONTRIBUTE, CONTRIBUTE_AND_FINALIZE, REVEAL
from tests.chain.conftest import RpcError
from tests.chaos.clockwork import EPOCH
from tests.chaos.contracts import HUB, At, Contracts, Effect, Revert

#: Seconds.
BLOCK_TIME: Final = 5
CHAIN_ID: Final = 134
GAS_PRICE: Final = 10**9

_REVERTED: Final = RpcError(3, "execution reverted")


class Fate(enum.Enum):
    """What becomes of a transaction that a node takes."""

    MINED = "like any other"
    LOST = "forgotten at once, without a word"
    STUCK = "it waits, until one that pays more takes its nonce"
    FAILED = "mined, but it runs out of gas"


@frozen
class Tx:
    """A signed transaction."""

    hash: str
    sender: str
    nonce: int
    price: int
    gas: int
    data: bytes


@define(eq=False)
class Pending:
    """A transaction that waits since *at* (Trio's time)."""

    tx: Tx
    at: float
    fate: Fate


@frozen
class Mined:
    """A transaction in a block; *label* names the call."""

    tx: Tx
    label: str
    succeeded: bool
    receipt: dict[str, Any]


@define(eq=False)
class Node:
    """
    The chain as everybody sees it; blocks come with Trio's time.

    *fate* is asked for each transaction that arrives, with its label.
    """

    contracts: Contracts = field(factory=Contracts)
    fate: Callable[[str, Tx], Fate] = lambda _label, _tx: Fate.MINED
    mined: list[Mined] = field(factory=list)
    waiting: list[Pending] = field(factory=list)
    number: int = 100

    @property
    def at(self) -> At:
        """The latest block."""
        return At(self.number, EPOCH + (self.number - 100) * BLOCK_TIME)

    def advance(self) -> None:
        """Make the blocks that are due."""
        due = 100 + int(trio.current_time() // BLOCK_TIME)
        while self.number < due:
            self.number += 1
            self._mine()

    def answer(self, body: bytes) -> bytes:
        """Answer one request or a batch."""
        self.advance()
        asked = json.loads(body)
        if isinstance(asked, dict):
            return json.dumps(self._one(asked)).encode()
        return json.dumps([self._one(call) for call in asked]).encode()

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            result = _METHODS[call["method"]](self, *call["params"])
        except RpcError as error:
            return {"id": call["id"], "error": error.error}
        return {"id": call["id"], "result": result}

    def _mine(self) -> None:
        began = self.at.time - EPOCH
        ready = (p for p in self.waiting if p.at < began and p.fate is not Fate.STUCK)
        for pending in sorted(ready, key=lambda p: p.tx.nonce):
            if pending.tx.nonce == self._count(pending.tx.sender):
                self.waiting.remove(pending)
                self.mined.append(self._execute(pending))

    def _execute(self, pending: Pending) -> Mined:
        tx, fails = pending.tx, pending.fate is Fate.FAILED
        logs = [] if fails else self._logs(tx)
        used = tx.gas if fails else tx.gas // 2
        receipt = {
            "status": hex(bool(logs)),
            "blockNumber": hex(self.number),
            "transactionHash": tx.hash,
            "gasUsed": hex(used),
            "logs": logs,
        }
        return Mined(tx, label_of(tx.data), bool(logs), receipt)

    def _logs(self, tx: Tx) -> list[dict[str, Any]]:
        """Let *tx* have its effect, and return its event; none when it breaks a rule."""
        try:
            topic, effect = self._call(tx.sender, tx.data)
        except Revert:
            return []
        effect()
        task = "0x" + tx.data[4:36].hex()
        return [{"address": HUB, "topics": [topic, task], "blockNumber": hex(self.number)}]

    def _call(self, sender: str, data: bytes) -> Effect:
        return self.contracts.call(sender, data, self.at)

    def _count(self, wallet: str) -> int:
        return sum(m.tx.sender == wallet for m in self.mined)

    def _block(self, which: str, _full: bool) -> dict[str, str]:
        assert which == "latest"
        return {"number": hex(self.number), "timestamp": hex(self.at.time)}

    def _eth_call(self, call: dict[str, str], _block: str) -> str:
        data = bytes.fromhex(call["data"].removeprefix("0x"))
        try:
            if label_of(data):
                self._call(call["from"], data)
                return "0x"
            return self.contracts.view(data)
        except Revert:
            raise _REVERTED from None

    def _estimate(self, call: dict[str, str]) -> str:
        self._eth_call(call, "latest")
        return hex(400_000)

    def _transactions(self, wallet: str, which: str) -> str:
        count = self._count(wallet)
        if which == "pending":
            nonces = {p.tx.nonce for p in self.waiting if p.tx.sender == wallet}
            while count in nonces:
                count += 1
        return hex(count)

    def _price(self) -> str:
        """Return a price that changes, so that what is signed again is another transaction."""
        return hex(GAS_PRICE + self.number % 7 * GAS_PRICE // 50)

    def _send(self, raw: str) -> str:
        tx = _decoded(raw)
        if tx.nonce < self._count(tx.sender):
            raise RpcError(-32000, "nonce too low")
        there = next((p for p in self.waiting if p.tx.nonce == tx.nonce), None)
        if there is not None:
            if there.tx.hash == tx.hash:
                raise RpcError(-32000, "already known")
            if tx.price * 10 < there.tx.price * 11:
                raise RpcError(-32000, "replacement transaction underpriced")
            self.waiting.remove(there)
        fate = self.fate(label_of(tx.data), tx)
        if fate is not Fate.LOST:
            self.waiting.append(Pending(tx, trio.current_time(), fate))
        return tx.hash

    def _receipt(self, tx_hash: str) -> dict[str, Any] | None:
        return next((m.receipt for m in self.mined if m.tx.hash == tx_hash), None)

    def _transaction(self, tx_hash: str) -> dict[str, str] | None:
        known = [m.tx for m in self.mined] + [p.tx for p in self.waiting]
        return next(({"hash": tx.hash} for tx in known if tx.hash == tx_hash), None)


def label_of(data: bytes) -> str:
    """Name the transaction with this *data*; empty when it is none of ours."""
    return _LABELS.get(data[:4], "")


@cache
def _decoded(raw: str) -> Tx:
    content = bytes.fromhex(raw.removeprefix("0x"))
    nonce, price, gas, _, _, data, *_ = rlp.decode(content)
    return Tx(
        hash="0x" + keccak(content).hex(),
        sender=Account.recover_transaction(content).lower(),
        nonce=int.from_bytes(nonce, "big"),
        price=int.from_bytes(price, "big"),
        gas=int.from_bytes(gas, "big"),
        data=data,
    )


_LABELS: Final = {f.selector: f.name for f in (CONTRIBUTE, REVEAL, CONTRIBUTE_AND_FINALIZE)}

_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "eth_chainId": lambda _: hex(CHAIN_ID),
    "eth_gasPrice": Node._price,
    "eth_getBalance": lambda *_: hex(10**18),
    "eth_getBlockByNumber": Node._block,
    "eth_call": Node._eth_call,
    "eth_estimateGas": Node._estimate,
    "eth_getTransactionCount": Node._transactions,
    "eth_sendRawTransaction": Node._send,
    "eth_getTransactionReceipt": Node._receipt,
    "eth_getTransactionByHash": Node._transaction,
}
