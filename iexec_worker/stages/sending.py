"""Transactions of a task: written down before they are broadcast, gone on with after a crash."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from iexec_worker.chain import calls
from iexec_worker.chain.calls import Kind
from iexec_worker.chain.gas import CONTRIBUTE_GAS, GAS_PER_TRANSACTION, REVEAL_GAS
from iexec_worker.chain.transactions.dues import Due
from iexec_worker.chain.transactions.signed import SignedTx
from iexec_worker.model import ZERO_HASH, ChainReceipt
from iexec_worker.wire import Action, Status

if TYPE_CHECKING:
    from iexec_worker.chain.calls import Call
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.chain.transactions.queue import OnSigned
    from iexec_worker.chain.transactions.writer import Transactions
    from iexec_worker.stages.task import Record, Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Sending:
    """Sends calls through the single writer and keeps them in the task's record."""

    transactions: Transactions
    blocks: BlockWatch

    async def send(self, task: Task, call: Call) -> ChainReceipt:
        """Have *call* mined: go on with what was signed for it before. Raises as the writer."""
        return await self.transactions.send(
            call, on_signed=self._remembers(task, call.kind), signed=_signed(task.record, call.kind)
        )

    def adopt(self, task: Task) -> None:
        """
        Count what the task will cost, and look after its transactions of an earlier life.

        To be called for every task before any of them sends: their nonces are not free.
        """
        self.transactions.dues.enter(task.id, partial(due, task.record))
        for kind in task.record.signed:
            signed = _signed(task.record, kind)
            call = calls.again(kind, task.id, signed[-1])
            self.transactions.adopt(call, signed, self._remembers(task, kind))

    def release(self, task: Task) -> None:
        """The task is over: it costs nothing more."""
        self.transactions.dues.leave(task.id)

    async def receipt(self, task: Task, kind: Kind) -> ChainReceipt:
        """
        Say where the effect that the chain already shows was mined.

        A record that does not know the transaction (lost, or replaced) gives the latest block:
        the pool only checks that its node has reached the block.
        """
        last = task.record.transactions.get(kind)
        hashes = {last: None} if last is not None else {}
        hashes |= {one.tx_hash: None for one in _signed(task.record, kind)}
        found = await self.transactions.mined(hashes)
        if found is not None:
            return found
        latest = await self.blocks.current()
        return ChainReceipt(latest.number, last or ZERO_HASH)

    def begun(self, task: Task, kind: Kind) -> Call | None:
        """Return the call that was signed for the task before, None if none was."""
        signed = _signed(task.record, kind)
        return calls.again(kind, task.id, signed[-1]) if signed else None

    async def may_contribute(self, task: Task) -> bool:
        """
        Say whether a contribution that left may still be mined, though the chain shows none.

        A task that is dropped then would have its stake taken with nobody to reveal it, or be
        ended by us after we said that we do not.
        """
        for kind in (Kind.CONTRIBUTE, Kind.FINALIZE):
            signed = _signed(task.record, kind)
            if signed and await self.transactions.may_land(signed):
                return True
        return False

    def _remembers(self, task: Task, kind: Kind) -> OnSigned:
        async def remember(signed: SignedTx) -> None:
            record = task.record
            earlier = [one for one in _signed(record, kind) if one.nonce == signed.nonce]
            record.signed[kind] = [*dict.fromkeys(one.hex for one in (*earlier, signed))]
            record.transactions[kind] = signed.tx_hash
            # What is mined again for a task that is over has no document any more.
            if not _is_over(record):
                await task.save()

        return remember


#: After these no transaction is left to be sent.
_OWE_NOTHING: Final = frozenset({Status.REVEALED, Status.CONTRIBUTE_AND_FINALIZE_DONE})


def due(record: Record) -> Due:
    """The gas that a task will still use."""
    if not _OWE_NOTHING.isdisjoint(record.told) or _is_over(record):
        return Due()
    if Status.CONTRIBUTED in record.told:
        return Due(reveal=REVEAL_GAS)
    if Kind.CONTRIBUTE in record.transactions or record.recomputing:
        # Under way, or mined: whichever, nothing may be taken from its reveal.
        return Due(reveal=REVEAL_GAS, other=CONTRIBUTE_GAS)
    if record.tee is not None:
        # Most end with one transaction, whose gas only the chain can tell, when it is due.
        return Due(other=GAS_PER_TRANSACTION)
    return Due(other=CONTRIBUTE_GAS + REVEAL_GAS)


def _signed(record: Record, kind: Kind) -> list[SignedTx]:
    return [SignedTx.from_hex(text) for text in record.signed.get(kind, ())]


def _is_over(record: Record) -> bool:
    return Status.COMPLETED in record.told or record.action is Action.PLEASE_ABORT
