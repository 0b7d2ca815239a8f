"""A task and the clients of its stages in memory, each to be set as a test needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
from attrs import define, field

from iexec_worker.chain import commitments
from iexec_worker.chain.calls import Call, Kind
from iexec_worker.chain.node.blocks import IDLE
from iexec_worker.chain.node.rpc import Block
from iexec_worker.errors import Unavailable
from iexec_worker.model import (
    ZERO_ADDRESS,
    Account,
    ChainReceipt,
    Contribution,
    ContributionStatus,
    OnchainTask,
    TaskStatus,
)
from iexec_worker.stages.admission import Admission
from iexec_worker.stages.conditions import Conditions
from iexec_worker.stages.start import Start
from iexec_worker.stages.task import Folder, Record, Task
from iexec_worker.stages.trusted.specs import TrustedSpecs
from iexec_worker.telemetry.tree import Node
from tests import samples
from tests.samples import SIGNED, TASK, WALLET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from iexec_worker.chain.transactions.queue import OnSigned
    from iexec_worker.chain.transactions.signed import SignedTx

DIGEST: Final = "0x" + 64 * "d"
RESULT: Final = commitments.result_hash(TASK, DIGEST)
SEAL: Final = commitments.result_seal(WALLET, TASK, DIGEST)


@define(eq=False)
class FakeChain:
    """Hub, block watch and writer of transactions at once. *calls* are the kinds sent."""

    task: OnchainTask = field(factory=samples.active)
    contribution: Contribution = field(factory=samples.uncontributed)
    stake: int = 5
    head: int = 100
    calls: list[Kind] = field(factory=list)
    #: For each of them the transactions of an earlier life that it goes on with.
    resumed: list[list[str]] = field(factory=list)
    #: What happens to the chain, or is raised, when a transaction is sent.
    on_send: Callable[[], None] = lambda: None
    on_block: Callable[[], None] = lambda: None
    #: Before this block the node does not answer.
    away_until: int = 0
    #: What the contribution that ends its task was made of.
    given: dict[str, object] = field(factory=dict)
    #: True: no block comes any more.
    idles: bool = False

    async def contribute_view(self, task_id: str, worker: str) -> tuple[Any, ...]:
        await trio.lowlevel.checkpoint()
        if self.head < self.away_until:
            raise Unavailable("the node is away")
        return self.task, self.contribution, Account(self.stake, 0)

    @property
    def latest(self) -> Block:
        return Block(self.head, 0)

    async def current(self) -> Block:
        await trio.lowlevel.checkpoint()
        return self.latest

    async def next(self) -> Block:
        await trio.lowlevel.checkpoint()
        if self.idles:
            await trio.sleep_forever()
        self.head += 1
        self.on_block()
        return self.latest

    async def pause(self, limit: float = IDLE) -> None:
        with trio.move_on_after(limit):
            await self.next()

    async def reached(self, number: int) -> Block:
        while self.head < number:
            await self.next()
        return self.latest

    def contribute(self, *_: object) -> Call:
        return Call("0xhub", "0x", 1, TASK, Kind.CONTRIBUTE)

    def reveal(self, *_: object) -> Call:
        return Call("0xhub", "0x", 1, TASK, Kind.REVEAL)

    async def contribute_and_finalize(self, *_: object, **given: object) -> Call:
        await trio.lowlevel.checkpoint()
        self.given = given
        return Call("0xhub", "0x", 1, TASK, Kind.FINALIZE)

    async def send(
        self, call: Call, *, on_signed: OnSigned, signed: list[SignedTx]
    ) -> ChainReceipt:
        self.resumed.append([one.tx_hash for one in signed])
        if not signed:
            await on_signed(SIGNED)
        self.calls.append(call.kind)
        self.on_send()
        return ChainReceipt(self.head, SIGNED.tx_hash)

    async def mined(self, hashes: Iterable[str]) -> ChainReceipt | None:
        await trio.lowlevel.checkpoint()
        found = list(hashes)
        return ChainReceipt(42, found[-1]) if found else None

    async def may_land(self, signed: list[SignedTx]) -> bool:
        await trio.lowlevel.checkpoint()
        return bool(signed)

    def is_contributed(self, status: ContributionStatus = ContributionStatus.CONTRIBUTED) -> None:
        self.contribution = Contribution(status, RESULT, SEAL, ZERO_ADDRESS)

    def has_consensus(self, value: str = RESULT) -> None:
        self.task = attrs.evolve(
            self.task, status=TaskStatus.REVEALING, consensus_value=value, reveal_deadline=2700
        )


@define(eq=False)
class FakePostCompute:
    """Says that there is a result, or raises *error*. *seen* are the files it found."""

    error: Exception | None = None
    seen: list[str] = field(factory=list)

    async def __call__(self, task: Task) -> None:
        await trio.lowlevel.checkpoint()
        self.seen = sorted(path.name for path in task.folder.iexec_out.rglob("*"))
        if self.error is not None:
            raise self.error


def start_of(conditions: Conditions, admission: Admission | None = None) -> Start:
    """The first step on a machine that runs no trusted tasks."""
    nothing: Any = None
    specs = TrustedSpecs({}, nothing, "w", WALLET, gpus=False)
    return Start(conditions, admission or Admission(), specs, nothing, nothing, nothing)


def now() -> float:
    """Return a time before every deadline."""
    return 1000.0


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def conditions(chain: FakeChain) -> Conditions:
    hub: Any = chain
    return Conditions(hub, WALLET, ZERO_ADDRESS, now)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    async def save() -> None:
        await trio.lowlevel.checkpoint()

    record = Record(samples.authorization())
    task = Task(record, Folder(tmp_path / TASK), Node(TASK), save)
    task.describe_as(samples.description())
    return task
