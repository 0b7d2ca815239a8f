"""A replicate with the edges in memory: a pool that answers as told and a chain one can set."""

from __future__ import annotations

import hashlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.chain import commitments
from iexec_worker.chain.node.blocks import IDLE
from iexec_worker.chain.node.rpc import Block
from iexec_worker.chain.transactions.writer import Transactions
from iexec_worker.files import remove
from iexec_worker.model import (
    ZERO_ADDRESS,
    Account,
    Contribution,
    ContributionStatus,
    Notification,
    OnchainTask,
    ReplicateOffer,
    StatusUpdate,
    TaskDescription,
    TaskStatus,
)
from iexec_worker.replicates.credibility import Credibility
from iexec_worker.replicates.group import Replicates
from iexec_worker.replicates.journal import Journal
from iexec_worker.replicates.slots import Slots
from iexec_worker.replicates.steps import Steps
from iexec_worker.replicates.surroundings import Surroundings
from iexec_worker.replicates.uploads import Uploads
from iexec_worker.scheduler.api import Answer
from iexec_worker.scheduler.subscriptions import Subscriptions
from iexec_worker.stages.complete import clear, complete
from iexec_worker.stages.conditions import Conditions
from iexec_worker.stages.post_compute import PostCompute
from iexec_worker.stages.sending import Sending
from iexec_worker.stages.task import Details, Folder, Stage, Task
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action, Status
from tests import samples
from tests.samples import TASK, WALLET

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from iexec_worker.chain.node.rpc import Request

#: The digest of a result that no test looks into.
DIGEST: Final = "0x" + 64 * "d"

#: What a pool answers to each status when nothing special is told.
PLAIN: Final = {
    Status.STARTED: Action.PLEASE_DOWNLOAD_APP,
    Status.APP_DOWNLOADED: Action.PLEASE_DOWNLOAD_DATA,
    Status.DATA_DOWNLOADED: Action.PLEASE_COMPUTE,
    Status.COMPUTED: Action.PLEASE_CONTRIBUTE,
    Status.CONTRIBUTED: Action.PLEASE_WAIT,
    Status.REVEALED: Action.PLEASE_WAIT,
    Status.CONTRIBUTE_AND_FINALIZE_DONE: Action.PLEASE_WAIT,
    Status.RESULT_UPLOADED: Action.PLEASE_WAIT,
    Status.COMPLETED: Action.PLEASE_WAIT,
    Status.ABORTED: None,
}


@define(eq=False)
class FakePool:
    """
    Answers updates from *answers* first, else as a pool to which everything is new.

    What it *refuses* it has not heard.
    """

    told: list[StatusUpdate] = field(factory=list)
    answers: dict[Status, list[Answer]] = field(factory=dict)
    wanted: list[Notification] = field(factory=list)
    refuses: Callable[[Status], bool] = lambda _: False
    silent: set[Status] = field(factory=set)
    slow: dict[Status, trio.Event] = field(factory=dict)
    heard: dict[Status, trio.Event] = field(factory=dict)
    #: Times it was asked what it wants.
    questions: int = 0

    @property
    def statuses(self) -> list[Status]:
        return [update.status for update in self.told]

    async def report(self, task_id: str, update: StatusUpdate, *, deadline: float) -> Answer:
        await trio.lowlevel.checkpoint()
        if self.refuses(update.status):
            return Answer(202, Action.PLEASE_ABORT)
        self.told.append(update)
        self.event(update.status).set()
        if update.status in self.slow:
            await self.slow[update.status].wait()
        if update.status in self.silent:
            await trio.sleep_forever()
        if self.answers.get(update.status):
            return self.answers[update.status].pop(0)
        if update.status.endswith("ING") or update.status.endswith("ONGOING"):
            return Answer(200, Action.PLEASE_CONTINUE)
        return Answer(200, PLAIN.get(update.status, Action.PLEASE_ABORT))

    async def interrupted(self, block: int) -> tuple[Notification, ...]:
        await trio.lowlevel.checkpoint()
        self.questions += 1
        return tuple(self.wanted)

    def event(self, status: Status) -> trio.Event:
        return self.heard.setdefault(status, trio.Event())


@define(eq=False)
class FakeChain:
    """What hub and block watch say; a block comes every tenth of a second."""

    task: OnchainTask = field(factory=samples.active)
    contribution: Contribution = field(factory=samples.uncontributed)

    #: Transactions of the wallet that are mined; none of them has a receipt.
    used: int = 0
    address: str = WALLET

    @property
    def wallet(self) -> FakeChain:
        return self

    @property
    def provider(self) -> FakeChain:
        return self

    async def batch(self, requests: list[Request]) -> list[str | None]:
        await trio.lowlevel.checkpoint()
        counts = "eth_getTransactionCount"
        return [hex(self.used) if asked.method == counts else None for asked in requests]

    @property
    def latest(self) -> Block:
        return Block(100 + int(10 * trio.current_time()), 0)

    async def current(self) -> Block:
        await trio.lowlevel.checkpoint()
        return self.latest

    async def next(self) -> Block:
        await trio.sleep(0.1)
        return self.latest

    async def pause(self, limit: float = IDLE) -> None:
        await self.next()

    #: What is not as in `samples` of the task.
    changes: dict[str, Any] = field(factory=dict)

    async def describe(self, task_id: str) -> TaskDescription | None:
        await trio.lowlevel.checkpoint()
        return samples.description(**self.changes) if task_id == TASK else None

    async def contribute_view(self, task_id: str, worker: str) -> tuple[Any, ...]:
        await trio.lowlevel.checkpoint()
        return self.task, self.contribution, Account(5, 0)

    def contributed(self, digest: str = DIGEST) -> None:
        self.contribution = Contribution(
            ContributionStatus.CONTRIBUTED,
            commitments.result_hash(TASK, digest),
            commitments.result_seal(WALLET, TASK, digest),
            ZERO_ADDRESS,
        )

    def consensus(self, value: str = "") -> None:
        self.task = attrs.evolve(
            self.task,
            status=TaskStatus.REVEALING,
            consensus_value=value or self.contribution.result_hash,
            reveal_deadline=2700,
        )

    def revealed(self) -> None:
        self.contribution = attrs.evolve(self.contribution, status=ContributionStatus.PROVED)

    def completed(self) -> None:
        self.task = attrs.evolve(self.task, status=TaskStatus.COMPLETED)


@define(eq=False)
class World:
    """
    The fakes, and the stages that were run; *hooks* replace what a stage does.

    *time* is the wall clock: at first before every deadline of the task. With `computes` the
    stages leave a result on disk and do on-chain what they should.
    """

    folder: Path
    time: float = 1000.0
    pool: FakePool = field(factory=FakePool)
    chain: FakeChain = field(factory=FakeChain)
    subscriptions: Subscriptions = field(factory=Subscriptions)
    done: list[Action] = field(factory=list)
    hooks: dict[Action, Callable[[Task], Awaitable[Details]]] = field(factory=dict)
    slots: Slots = field(factory=lambda: Slots(1))
    node: Node = field(factory=lambda: Node("replicates"))
    sent: list[Action] = field(factory=list)

    def now(self) -> float:
        return self.time

    @asynccontextmanager
    async def replicates(self) -> AsyncIterator[Replicates]:
        chain: Any = self.chain
        pool: Any = self.pool
        conditions = Conditions(chain, WALLET, ZERO_ADDRESS, self.now)
        credibility = Credibility(conditions, pool, chain, Uploads(chain))
        stages = {action: self._stage(action) for action in Action if action in STAGES}
        around = Surroundings(
            steps=Steps(stages, pool, credibility, self.now, lambda *_: None),
            credibility=credibility,
            conditions=conditions,
            hub=chain,
            blocks=chain,
            subscriptions=self.subscriptions,
            sending=Sending(Transactions(chain, chain, lambda _: None), chain),
            journal=Journal(self.folder),
            slots=self.slots,
            post_compute=PostCompute(),
            discard=_discard,
            now=self.now,
        )
        async with trio.open_nursery() as nursery:
            yield Replicates(around, nursery, self.node)
            nursery.cancel_scope.cancel()

    async def begin(self, replicates: Replicates, task_id: str = TASK) -> None:
        slot = await self.slots.acquire()
        await replicates.begin(ReplicateOffer(samples.authorization(task_id), None), slot)

    def computes(self, *results: bytes) -> None:
        """Have the app give these results, run by run; the last one for ever."""
        left = list(results or (b"result",))

        async def compute(task: Task) -> Details:
            leave_result(task.folder, left[0] if len(left) == 1 else left.pop(0))
            await PostCompute()(task)
            return Details(exit_code=0)

        async def contribute(task: Task) -> Details:
            if self.chain.contribution.status is ContributionStatus.UNSET:
                assert task.record.computed is not None
                self.chain.contributed(task.record.computed.result_digest)
                self.sent.append(Action.PLEASE_CONTRIBUTE)
            return Details()

        async def reveal(task: Task) -> Details:
            assert task.record.computed is not None
            digest = task.record.computed.result_digest
            assert self.chain.task.consensus_value == commitments.result_hash(TASK, digest)
            if self.chain.contribution.status is ContributionStatus.CONTRIBUTED:
                self.chain.revealed()
                self.sent.append(Action.PLEASE_REVEAL)
            return Details()

        self.hooks |= {
            Action.PLEASE_COMPUTE: compute,
            Action.PLEASE_CONTRIBUTE: contribute,
            Action.PLEASE_REVEAL: reveal,
            Action.PLEASE_COMPLETE: complete,
        }

    def publish(self, action: Action, block: int = 0) -> None:
        self.subscriptions.deliver(Notification(TASK, action, (), block))

    def _stage(self, action: Action) -> Stage:
        async def stage(task: Task) -> Details:
            await trio.lowlevel.checkpoint()
            self.done.append(action)
            hook = self.hooks.get(action)
            return await hook(task) if hook else Details()

        return stage


STAGES: Final = {
    Action.PLEASE_START,
    Action.PLEASE_DOWNLOAD_APP,
    Action.PLEASE_DOWNLOAD_DATA,
    Action.PLEASE_COMPUTE,
    Action.PLEASE_CONTRIBUTE,
    Action.PLEASE_REVEAL,
    Action.PLEASE_UPLOAD,
    Action.PLEASE_CONTRIBUTE_AND_FINALIZE,
    Action.PLEASE_COMPLETE,
}


def leave_result(folder: Folder, content: bytes = b"result") -> None:
    """Leave what an app leaves."""
    remove(folder.iexec_out)
    folder.iexec_out.mkdir(parents=True)
    (folder.iexec_out / "result.txt").write_bytes(content)
    pointer = {"deterministic-output-path": "/iexec_out/result.txt"}
    (folder.iexec_out / "computed.json").write_text(json.dumps(pointer))


def digest_of(content: bytes = b"result") -> str:
    """The digest of what `leave_result` leaves."""
    return "0x" + hashlib.sha256(content).hexdigest()


async def _inline(function: Callable[..., Any], *args: object, **_: object) -> Any:  # noqa: ANN401 - whatever *function* returns
    await trio.lowlevel.checkpoint()
    return function(*args)


@pytest.fixture
def no_threads(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> trio.testing.MockClock:
    """What runs in threads runs at once: time may jump, as nothing outside of Trio is awaited."""
    monkeypatch.setattr(trio.to_thread, "run_sync", _inline)
    monkeypatch.setattr(trio.from_thread, "check_cancelled", lambda: None)
    return autojump_clock


async def _discard(task: Task) -> None:
    await trio.to_thread.run_sync(clear, task.folder)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
