"""The single writer: one new transaction of the wallet at a time, each certainly once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final, NoReturn
from weakref import WeakValueDictionary

import structlog
import trio
from attrs import define, field

from iexec_worker.chain.calls import Kind
from iexec_worker.chain.gas import REVEAL_GAS
from iexec_worker.chain.node.rpc import NodeRefused, Request, quantity
from iexec_worker.chain.transactions import receipts
from iexec_worker.chain.transactions.dues import Dues
from iexec_worker.chain.transactions.flight import (
    REPLACE_AFTER_BLOCKS,
    Flight,
    NonceTaken,
    Route,
)
from iexec_worker.chain.transactions.landed import Landed
from iexec_worker.chain.transactions.nonces import Nonces
from iexec_worker.chain.transactions.queue import Job, OnSigned, Queue, Withdrawn
from iexec_worker.chain.transactions.signed import Versions
from iexec_worker.errors import OutOfGas, Reverted, Unavailable, WorkerError

if TYPE_CHECKING:
    from iexec_worker.chain.calls import Call
    from iexec_worker.chain.hub import Hub
    from iexec_worker.chain.transactions.quote import Quote
    from iexec_worker.chain.transactions.signed import SignedTx
    from iexec_worker.model import ChainReceipt
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Times a nonce may go to a stranger's transaction before the wallet counts as shared.
_ROUNDS: Final = 3


@define(eq=False)
class Transactions:
    """
    Sends what callers want and sees it mined for good.

        run
        ├── write        the next nonce to the most urgent call, when none is under way
        ├── resume       beside it, what was signed in an earlier life, with the nonce it has
        └── follow       what was mined, until it is too deep to be reorganised away

    *on_outcome* is told of every transaction asked for whether it succeeded; *dues* is the gas
    that no contribution may use up.
    """

    route: Route
    hub: Hub
    on_outcome: Callable[[bool], None]
    dues: Dues = field(factory=Dues)
    _queue: Queue = field(init=False, factory=Queue)
    _nonces: Nonces = field(init=False)
    _landed: Landed = field(init=False)
    #: By nonce and data, as long as somebody sees to the transaction.
    _versions: WeakValueDictionary[tuple[int, str], Versions] = field(
        init=False, factory=WeakValueDictionary
    )
    _earlier: tuple[trio.MemorySendChannel[Job], trio.MemoryReceiveChannel[Job]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._nonces = Nonces(self.route)
        self._landed = Landed(self.route)
        self._earlier = trio.open_memory_channel[Job](inf)

    async def send(
        self, call: Call, *, on_signed: OnSigned, signed: Iterable[SignedTx] = ()
    ) -> ChainReceipt:
        """
        Send *call* and wait until it is mined with its event.

        *signed* are the transactions of an earlier try, all of one nonce: they are brought to
        their end before another is made. *on_signed* is awaited, in the writer's task, with each
        new one before its broadcast. Cancelled before the broadcast: nothing is sent. After: the
        transaction is still brought to its end, nobody is told.

        Raises `Reverted` (the contract refuses: simulated first, so usually nothing was sent),
        `OutOfGas`, `Unavailable`, and `NodeRefused`.
        """
        job = Job(call, on_signed, self._known(call, signed))
        self._admit(job)
        try:
            await job.done.wait()
        finally:
            job.wanted = False
            self._queue.discard(job)
        if job.error is not None:
            raise job.error
        assert job.receipt is not None, "a job ends with a receipt or an error"
        return job.receipt

    def adopt(self, call: Call, signed: Iterable[SignedTx], on_signed: OnSigned) -> None:
        """
        Look after a transaction of an earlier life, and keep its nonce for it.

        Its effect may be known already: blocks can be reorganised while nobody looks.
        """
        job = Job(call, on_signed, self._known(call, signed), asked=False)
        self._nonces.use(job.versions[-1].nonce)
        self._landed.add(job)

    async def mined(self, hashes: Iterable[str]) -> ChainReceipt | None:
        """Say where one of these was mined without being reverted; None if none was."""
        requests = [Request("eth_getTransactionReceipt", (known,)) for known in hashes]
        found = await self.route.provider.batch(requests) if requests else []
        fine = (one for one in found if one and receipts.succeeded(one))
        return next(map(receipts.mined_at, fine), None)

    async def may_land(self, signed: Sequence[SignedTx]) -> bool:
        """Say whether these versions of a transaction are neither mined nor outrun by another."""
        used, *found = await self.route.provider.batch(
            [
                Request("eth_getTransactionCount", (self.route.wallet.address, "latest")),
                *(Request("eth_getTransactionReceipt", (one.tx_hash,)) for one in signed),
            ]
        )
        return not any(found) and quantity(used) <= signed[-1].nonce

    async def run(
        self, node: Node, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Write for ever; *node* shows what is under way."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._resume_all, nursery)
            nursery.start_soon(self._landed.follow, self._bring_back)
            while True:
                node.doing = "nothing to send"
                await self._queue.some()
                await self._write(node)

    def _known(self, call: Call, signed: Iterable[SignedTx]) -> Versions:
        """The one list of all versions of a transaction of which *signed* are some."""
        versions = Versions(signed)
        if not versions:
            return versions
        shared = self._versions.setdefault((versions[-1].nonce, call.data), versions)
        if shared is not versions:
            shared.join(versions)
        return shared

    def _admit(self, job: Job) -> None:
        if job.versions:
            self._nonces.use(job.versions[-1].nonce)
            self._earlier[0].send_nowait(job)
        else:
            self._queue.put(job)

    async def _write(self, node: Node) -> None:
        """Send the most urgent call, as soon as there is a nonce for it."""
        node.doing = "waiting for the other transactions of the wallet"
        now: Quote | WorkerError
        try:
            now = await self._nonces.free()
        except WorkerError as error:
            now = error
        # Only now: something more urgent may have come.
        job = self._queue.take()
        if job is not None:
            node.doing = f"sending {job.call}"
            await self._settle(job, self._begin(job, now))

    async def _resume_all(self, nursery: trio.Nursery) -> NoReturn:
        while True:
            job = await self._earlier[1].receive()
            nursery.start_soon(self._resume, job)

    async def _resume(self, job: Job) -> None:
        with self._nonces.resuming():
            await self._settle(job, self._go_on(job))

    async def _bring_back(self, job: Job) -> None:
        """Have mined again what the chain does not show any more; for some blocks."""
        for _ in range(REPLACE_AFTER_BLOCKS):
            again = job.again()
            self._admit(again)
            await again.done.wait()
            if again.error is None:
                return
            log.info("not mined again yet", call=str(job.call), reason=str(again.error))
            await self.route.tick()
        log.warning("not mined again", call=str(job.call))

    async def _settle(self, job: Job, work: Awaitable[ChainReceipt | None]) -> None:
        """Do the *work* and end the job with what it gave; None: it needs another nonce."""
        end: ChainReceipt | Exception | None
        try:
            end = await work
        except Exception as error:  # noqa: BLE001 - it is the caller's, who raises it
            end = error
        except BaseException:
            self._abandon(job)
            raise
        if end is None:
            self._queue.put(job)
            return
        job.end(end)
        if job.receipt is not None:
            self._landed.add(job)
        elif not job.wanted:
            log.warning("transaction failed", call=str(job.call), reason=str(job.error))
        if job.asked and not isinstance(end, Withdrawn):
            self.on_outcome(job.error is None)

    def _abandon(self, job: Job) -> None:
        """End *job* with the writer; what is out is looked after by the writer's next life."""
        if job.asked and job.versions:
            # Whoever asked may find it on-chain, and not ask again: it can still be reorganised.
            self._landed.add(job)
        job.end(Unavailable(f"{job.call}: the worker stops sending"))

    async def _begin(self, job: Job, now: Quote | WorkerError) -> ChainReceipt | None:
        """Make a transaction with the nonce that is free *now* and see it mined."""
        if isinstance(now, WorkerError):
            raise now
        price = self.route.gas.price(now.network)
        await self._simulate(job.call)
        self._afford(job.call, price, now.balance)
        job.versions = self._versions.setdefault((now.mined, job.call.data), job.versions)
        flight = Flight(self.route, job.call, now.mined, price, job.remember, job.versions)
        self._nonces.use(flight.nonce)
        try:
            return await self._land(job, flight)
        except Exception:
            if not flight.out:
                self._nonces.give_back(flight.nonce)
            raise

    async def _go_on(self, job: Job) -> ChainReceipt | None:
        """See mined what was signed before; None when nothing of it can have effect any more."""
        flight = Flight.resumed(self.route, job.call, job.versions, job.remember)
        try:
            return await self._land(job, flight)
        except Reverted as error:
            # Whether another may have an effect, its simulation says.
            log.warning("earlier transaction had no effect", reason=str(error))
            job.versions = Versions()
            return None

    async def _land(self, job: Job, flight: Flight) -> ChainReceipt | None:
        """The proof of success; None when the nonce went to a transaction that is not ours."""
        try:
            receipt = await flight.land()
        except NonceTaken as error:
            # Perhaps by this very call, from an earlier life: the simulation will tell.
            log.warning("nonce taken", reason=str(error))
            job.versions = Versions()
            job.outrun += 1
        else:
            return await self._judged(receipt, job.call)
        if not job.wanted:
            raise Withdrawn(f"{job.call}: nobody waits for it")
        if job.outrun < _ROUNDS:
            return None
        raise Unavailable(
            f"{job.call}: other transactions of the wallet {self.route.wallet.address} took its "
            "nonce again and again; give the worker a wallet of its own"
        )

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
        kept = self._kept_back(call)
        if kept and call.gas * self.route.gas.cap + kept > balance:
            raise OutOfGas(
                f"{call} would use up what reveals may cost ({kept} wei of the {balance} that the "
                f"wallet {self.route.wallet.address} has): send it some"
            )

    def _kept_back(self, call: Call) -> int:
        """Wei that *call* must leave: a contribution that is not revealed costs its stake."""
        if call.kind is Kind.REVEAL:
            return 0
        own = REVEAL_GAS if call.kind is Kind.CONTRIBUTE else 0
        return self.route.gas.at_most(own + self.dues.reveals(but=call.task_id))

    async def _judged(self, receipt: dict[str, Any], call: Call) -> ChainReceipt:
        """The receipt as proof of success, or `Reverted` with the best reason there is."""
        proof = receipts.chain_receipt(receipt, call)
        if proof is not None:
            return proof
        problem = receipts.problem(receipt, call) or await self.hub.explain(call)
        mined = receipts.mined_at(receipt)
        raise Reverted(f"{call}, mined in block {mined.block_number} as {mined.tx_hash}: {problem}")
