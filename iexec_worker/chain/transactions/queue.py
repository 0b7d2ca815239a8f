"""What waits to be sent: the most urgent first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from attrs import define, field

from iexec_worker.chain.calls import Call, Kind
from iexec_worker.chain.transactions.signed import SignedTx, Versions
from iexec_worker.errors import WorkerError
from iexec_worker.model import ChainReceipt

#: Awaited with a transaction before its broadcast, so that it can be written down.
OnSigned = Callable[[SignedTx], Awaitable[None]]


class Withdrawn(WorkerError):
    """Raised when whoever asked for a transaction was cancelled before its broadcast."""


@define(eq=False)
class Job:
    """
    A call that is to be mined, once. It ends with *receipt* or *error* when *done* is set.

    *versions* are the transactions with one nonce that left, or may have left, this process or
    an earlier one. *asked*: by somebody who is told the end; else it only has to be mined again.
    """

    call: Call
    on_signed: OnSigned
    versions: Versions = field(factory=Versions)
    asked: bool = True
    #: False once the caller was cancelled: nobody reads the result any more.
    wanted: bool = True
    #: Times a nonce of it went to another transaction.
    outrun: int = 0
    receipt: ChainReceipt | None = None
    error: Exception | None = None
    done: trio.Event = field(factory=trio.Event)

    @property
    def urgency(self) -> int:
        """Low comes first: a reveal that comes late costs the stake, a contribution does not."""
        return 0 if self.call.kind is Kind.REVEAL else 1

    async def remember(self, signed: SignedTx) -> None:
        """
        Let *signed* be written down before its broadcast.

        Once something was sent, a caller that is gone is no reason to stop: its nonce must get
        into a block, or no other transaction of the wallet ever will.
        """
        if self.wanted or self.versions:
            await self.on_signed(signed)
        if not self.wanted and not self.versions:
            raise Withdrawn(f"{self.call}: nobody waits for it")

    def end(self, end: ChainReceipt | Exception) -> None:
        """Say how it ended."""
        if isinstance(end, Exception):
            self.error = end
        else:
            self.receipt = end
        self.done.set()

    def again(self) -> Job:
        """The same once more, for nobody: what was mined and is not any more."""
        return Job(self.call, self.on_signed, self.versions, asked=False)


@define(eq=False)
class Queue:
    """Jobs without a nonce yet, in the order of their urgency, equals in that of their coming."""

    _jobs: list[Job] = field(factory=list)
    _some: trio.Event = field(factory=trio.Event)

    def put(self, job: Job) -> None:
        """Add *job*."""
        self._jobs.append(job)
        self._some.set()

    def discard(self, job: Job) -> None:
        """Forget *job* if it still waits."""
        if job in self._jobs:
            self._jobs.remove(job)

    async def some(self) -> None:
        """Wait until a job is there; it may be discarded until it is taken."""
        while not self._jobs:
            self._some = trio.Event()
            await self._some.wait()

    def take(self) -> Job | None:
        """Remove the most urgent; None when all have been discarded."""
        if not self._jobs:
            return None
        job = min(self._jobs, key=lambda waiting: waiting.urgency)
        self._jobs.remove(job)
        return job
