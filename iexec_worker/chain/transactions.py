"""The single writer: one transaction of the wallet at a time, each certainly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import structlog
import trio
from attrs import define, field

from iexec_worker.chain import receipts
from iexec_worker.chain.calls import Call
from iexec_worker.chain.flight import (
    REPLACE_AFTER_BLOCKS,
    Flight,
    NonceTaken,
    Route,
    Withdrawn,
    receipt_problem,
)
from iexec_worker.chain.quote import Quote, quote
from iexec_worker.chain.rpc import NodeRefused, Request
from iexec_worker.errors import OutOfGas, Reverted, Unavailable
from iexec_worker.model import ChainReceipt

if TYPE_CHECKING:
    from iexec_worker.chain.hub import Hub
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Awaited with the hash of a transaction before its broadcast.
OnSigned = Callable[[str], Awaitable[None]]

#: Times a nonce may go to a stranger's transaction before the wallet counts as shared.
_ROUNDS: Final = 3

#: Looks, a block apart, before a transaction that no node knows counts as never sent.
_LOOKS: Final = 2


@define(eq=False)
class _Job:
    call: Call
    on_signed: OnSigned
    #: False once the caller was cancelled: nobody reads the result any more.
    wanted: bool = True
    receipt: ChainReceipt | None = None
    error: Exception | None = None
    done: trio.Event = field(factory=trio.Event)
    #: Hashes that left, or may have left, this process.
    sent: list[str] = field(factory=list)

    async def remember(self, tx_hash: str) -> None:
        """
        Let the caller write *tx_hash* down before the broadcast.

        Once something was sent, a caller that is gone is no reason to stop: its nonce must get
        into a block, or no other transaction of the wallet ever will.
        """
        if self.wanted:
            await self.on_signed(tx_hash)
        if not self.wanted and not self.sent:
            raise Withdrawn(f"{self.call}: nobody waits for it")
        self.sent.append(tx_hash)


@define(eq=False)
class Transactions:
    """
    Sends what callers want through one task (`run`), one after the other.

    *on_outcome* is told of every transaction asked for whether it succeeded.
    """

    route: Route
    hub: Hub
    on_outcome: Callable[[bool], None]
    _jobs: tuple[trio.MemorySendChannel[_Job], trio.MemoryReceiveChannel[_Job]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # No buffer: who is cancelled while another transaction is under way was never queued.
        self._jobs = trio.open_memory_channel[_Job](0)

    async def send(self, call: Call, *, on_signed: OnSigned) -> ChainReceipt:
        """
        Send *call* and wait until it is mined with its event.

        *on_signed* is awaited, in the writer's task, with each hash before its broadcast: the
        first, and one more for each replacement. Cancelled before the broadcast: nothing is
        sent. After: the transaction is still brought to its end, nobody is told.

        Raises `Reverted` (the contract refuses: simulated first, so usually nothing was sent),
        `OutOfGas`, `Unavailable`, and `NodeRefused`.
        """
        job = _Job(call, on_signed)
        await self._jobs[0].send(job)
        try:
            await job.done.wait()
        finally:
            job.wanted = False
        if job.error is not None:
            raise job.error
        assert job.receipt is not None, "a job ends with a receipt or an error"
        return job.receipt

    async def follow(self, tx_hash: str, call: Call) -> ChainReceipt | None:
        """
        Wait for a transaction of ours from an earlier life; None if it is lost or stuck.

        After None, `send` is safe: it starts only when no transaction of the wallet waits, or
        takes the nonce of the one that is stuck. Raises `Reverted` and `Unavailable`.
        """
        unknown = 0
        with trio.move_on_after(REPLACE_AFTER_BLOCKS * self.route.block_time):
            while unknown < _LOOKS:
                receipt, known = await self.route.provider.batch(
                    [
                        Request("eth_getTransactionReceipt", (tx_hash,)),
                        Request("eth_getTransactionByHash", (tx_hash,)),
                    ]
                )
                if receipt:
                    return await self._judged(receipt, call)
                unknown = 0 if known else unknown + 1
                await self.route.tick()
        return None

    async def mined(self, tx_hash: str) -> ChainReceipt | None:
        """Say where a transaction was mined without being reverted; None if it was not."""
        receipt = await self.route.provider.call("eth_getTransactionReceipt", tx_hash)
        return receipts.mined_at(receipt) if receipt and receipts.succeeded(receipt) else None

    async def run(
        self, node: Node, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Write for ever; *node* shows what is under way."""
        task_status.started()
        while True:
            node.doing = "nothing to send"
            job = await self._jobs[1].receive()
            node.doing = f"sending {job.call}"
            await self._settle(job)

    async def _settle(self, job: _Job) -> None:
        try:
            job.receipt = await self._carry_out(job)
        except Withdrawn:
            return
        except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it
            job.error = error
            if not job.wanted:
                log.warning("transaction failed", call=str(job.call), reason=str(error))
        finally:
            if job.receipt is None and job.error is None:
                job.error = Unavailable(f"{job.call}: the worker stops sending")
            job.done.set()
        self.on_outcome(job.error is None)

    async def _carry_out(self, job: _Job) -> ChainReceipt:
        for _ in range(_ROUNDS):
            now = await self._clear(job)
            price = self.route.gas.price(now.network)
            await self._simulate(job.call)
            self._afford(job.call, price, now.balance)
            flight = Flight(self.route, job.call, now.mined, price, job.remember)
            try:
                return await self._judged(await flight.land(), job.call)
            except NonceTaken as error:
                # Perhaps by this very call, from an earlier life: the simulation will tell.
                log.warning("nonce taken", reason=str(error))
                job.sent.clear()
        raise Unavailable(
            f"{job.call}: other transactions of the wallet {self.route.wallet.address} took its "
            "nonce again and again; give the worker a wallet of its own"
        )

    async def _clear(self, job: _Job) -> Quote:
        """
        Wait until no transaction of the wallet is under way.

        This writer has none. One from before a crash may be this very call, so it must end
        before the simulation can tell; one that does not end gives its nonce to ours.
        """
        now = await self._quote()
        with trio.move_on_after(REPLACE_AFTER_BLOCKS * self.route.block_time):
            while now.pending > now.mined:
                if not job.wanted:
                    raise Withdrawn(f"{job.call}: nobody waits for it")
                await self.route.tick()
                now = await self._quote()
        if now.pending > now.mined:
            log.warning("taking the nonce of a stuck transaction", nonce=now.mined)
        return now

    async def _quote(self) -> Quote:
        return await quote(self.route.provider, self.route.wallet.address)

    async def _simulate(self, call: Call) -> None:
        transaction = {"from": self.route.wallet.address, "to": call.to, "data": call.data}
        try:
            await self.route.provider.call(
                "eth_call", {**transaction, "gas": hex(call.gas)}, "latest"
            )
        except NodeRefused as error:
            raise await self.hub.refusal(call, error) from error

    def _afford(self, call: Call, price: int, balance: int) -> None:
        if call.gas * price > balance:
            raise OutOfGas(
                f"{call} may cost {call.gas * price} wei and the wallet "
                f"{self.route.wallet.address} has {balance}: send it some"
            )

    async def _judged(self, receipt: dict[str, Any], call: Call) -> ChainReceipt:
        """The receipt as proof of success, or `Reverted` with the best reason there is."""
        proof = receipts.chain_receipt(receipt, call)
        if proof is not None:
            return proof
        problem = receipt_problem(receipt, call) or await self.hub.explain(call)
        mined = receipts.mined_at(receipt)
        raise Reverted(f"{call}, mined in block {mined.block_number} as {mined.tx_hash}: {problem}")
