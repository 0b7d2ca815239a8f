"""
One nonce on its way into a block: signed, broadcast, watched, replaced when it is stuck.

    sign → remembered by the caller → broadcast ─→ mined, with the event → receipt
                 ↑                        │  └──→ mined, without → Reverted
                 └── a higher price ──────┘ 12 block times        └→ nonce gone → NonceTaken
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.chain.calls import Call
from iexec_worker.chain.gas import GasRules
from iexec_worker.chain.node.blocks import SHORTEST_PERIOD, BlockWatch
from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.chain.node.rpc import NodeRefused, Request, quantity
from iexec_worker.chain.transactions.broadcast import Answer, answer
from iexec_worker.chain.transactions.quote import quote
from iexec_worker.chain.transactions.signed import SignedTx
from iexec_worker.chain.wallet import Wallet
from iexec_worker.errors import OutOfGas, Transient, Unavailable, WorkerError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A transaction that pays the asked price is in one of the next blocks; twelve are too many.
REPLACE_AFTER_BLOCKS: Final = 12

#: Looks, a block apart, at a used-up nonce without a receipt of ours before it counts as taken:
#: nodes behind one address may answer the two questions from heads some blocks apart.
_LOOKS: Final = 4


class NonceTaken(Transient):
    """Raised when another transaction of this wallet was mined with the nonce of ours."""


@define(eq=False)
class Route:
    """What every flight needs; *chain_id* and *block_time* are the chain's."""

    provider: NodeProvider
    wallet: Wallet
    blocks: BlockWatch
    gas: GasRules
    chain_id: int
    block_time: float

    async def tick(self) -> None:
        """Wait for the next block, but no longer than a block takes: the chain may idle."""
        await self.blocks.pause(max(self.block_time, SHORTEST_PERIOD))


@define(eq=False)
class Flight:
    """
    One transaction with *nonce*; its hashes differ by price only, so at most one is mined.

    *versions* are those that were signed so far, by this process or one before it, the latest
    last. *remember* is awaited with each before its broadcast and may raise to prevent it.
    """

    route: Route
    call: Call
    nonce: int
    price: int
    remember: Callable[[SignedTx], Awaitable[None]]
    versions: list[SignedTx] = field(factory=list)
    _taken: bool = field(default=False, init=False)
    _gone: int = field(default=0, init=False)

    @classmethod
    def resumed(
        cls,
        route: Route,
        call: Call,
        versions: list[SignedTx],
        remember: Callable[[SignedTx], Awaitable[None]],
    ) -> Flight:
        """Go on with a transaction of which *versions* may be out: the same bytes first."""
        latest = versions[-1]
        return cls(route, call, latest.nonce, latest.price, remember, versions)

    @property
    def out(self) -> bool:
        """True once a node has taken it."""
        return self._taken

    async def land(self) -> dict[str, Any]:
        """
        Return the receipt once it is mined.

        Raises, while no node took it, `OutOfGas`, `Unavailable` (the network asks more than the
        cap) and `NodeRefused`; later only `NonceTaken`: a node that is away is waited for, since
        the transaction is out and cannot be taken back.
        """
        receipt = await self._look() if self.versions else None
        if receipt is not None:
            return receipt
        await self._take_off()
        while True:
            with trio.move_on_after(REPLACE_AFTER_BLOCKS * self.route.block_time):
                return await self._watch()
            await self._replace()

    async def _take_off(self) -> None:
        """Broadcast; while that pays too little, at a higher price, the cap being the last."""
        for price in self._prices():
            if not self.versions or price != self.price:
                self.price = price
                await self._sign()
            if await self._broadcast() is not Answer.UNDERPRICED:
                return
        raise Unavailable(
            f"{self.call}: the network asks more than IEXEC_GAS_PRICE_CAP ({self.price} wei)"
        )

    def _prices(self) -> Iterator[int]:
        """The least that replaces a transaction at our price, then twice as much each time."""
        first = self.price
        yield first
        price = self.route.gas.least_raise(first)
        while price < self.route.gas.cap:
            yield price
            price *= 2
        if first < self.route.gas.cap:
            yield self.route.gas.cap

    async def _sign(self) -> None:
        signed = self.route.wallet.sign_transaction(
            {
                "nonce": self.nonce,
                "gasPrice": self.price,
                "gas": self.call.gas,
                "to": self.call.to,
                "value": 0,
                "data": self.call.data,
                "chainId": self.route.chain_id,
            }
        )
        await self.remember(signed)
        if signed not in self.versions:
            self.versions.append(signed)
        log.info(
            "transaction",
            call=self.call.kind.value,
            task=self.call.task_id,
            hash=signed.tx_hash,
            nonce=self.nonce,
            price=self.price,
        )

    async def _broadcast(self) -> Answer:
        """
        Hand the latest version to the node.

        No answer counts as taken: it may be out. A refusal is raised only if no version of
        this nonce was ever taken; else there is something to wait for.
        """
        latest = self.versions[-1]
        try:
            (result,) = await self.route.provider.answers(
                [Request("eth_sendRawTransaction", (latest.hex,))]
            )
        except Unavailable as error:
            log.warning("broadcast unanswered", hash=latest.tx_hash, reason=str(error))
            return Answer.TAKEN
        refusal = result if isinstance(result, NodeRefused) else None
        verdict = answer(refusal)
        if verdict is Answer.TAKEN:
            self._taken = True
        if refusal is not None and not self._taken:
            self._raise(verdict, refusal)
        return verdict

    def _raise(self, verdict: Answer, refusal: NodeRefused) -> None:
        if verdict is Answer.UNPAID:
            raise OutOfGas(f"{self.call}: {refusal.message}") from refusal
        if verdict is Answer.REFUSED:
            raise refusal

    async def _watch(self) -> dict[str, Any]:
        """Look for a receipt at once and then with every block."""
        while True:
            receipt = await self._look()
            if receipt is not None:
                return receipt
            await self.route.tick()
            # A node may have dropped it, or another node may be asked by now; told again,
            # one that has it says so.
            await self._broadcast()

    async def _look(self) -> dict[str, Any] | None:
        count = Request("eth_getTransactionCount", (self.route.wallet.address, "latest"))
        found = [Request("eth_getTransactionReceipt", (one.tx_hash,)) for one in self.versions]
        try:
            used, *mined = await self.route.provider.batch([count, *found])
        except WorkerError as error:
            log.debug("no look at the transaction", reason=str(error))
            return None
        receipt: dict[str, Any] | None = next(filter(None, mined), None)
        if receipt is None:
            self._count_gone(quantity(used))
        return receipt

    def _count_gone(self, used: int) -> None:
        self._gone = self._gone + 1 if used > self.nonce else 0
        if self._gone >= _LOOKS:
            raise NonceTaken(
                f"{self.call}: nonce {self.nonce} went to another transaction of this wallet"
            )

    async def _replace(self) -> None:
        """Offer more for the same nonce, if the cap and the wallet allow it."""
        try:
            now = await quote(self.route.provider, self.route.wallet.address)
        except WorkerError as error:
            log.warning("stuck transaction not replaced", reason=str(error))
            return
        price = self.route.gas.raised(self.price, now.network)
        if price is None or price * self.call.gas > now.balance:
            log.warning("stuck transaction stays: at the cap", call=str(self.call))
            return
        log.warning("stuck transaction replaced", call=str(self.call), nonce=self.nonce)
        before, self.price = self.price, price
        # What is out is out, whether more can be written down now or not.
        with trio.move_on_after(max(self.route.block_time, SHORTEST_PERIOD)):
            await self._sign()
            await self._broadcast()
            return
        self.price = before
