"""What is lost, late, repeated or forged on the topic: the end is the same."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.chain.calls import Kind
from iexec_worker.errors import Unavailable
from iexec_worker.model import ComputedFile, ContributionStatus, Notification, TaskStatus
from iexec_worker.replicates.journal import Journal
from iexec_worker.replicates.uploads import PATIENCE
from iexec_worker.scheduler.api import Answer
from iexec_worker.stages.task import Details, Folder, Record, Task
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action, Cause, Status
from tests import samples
from tests.replicates.conftest import FakePool, World, digest_of, leave_result
from tests.samples import TASK, TO_COMPLETED, TO_CONTRIBUTED

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

OTHER: Final = "0x" + 64 * "7"

pytestmark = pytest.mark.timeout(60)


async def told(world: World, status: Status, limit: float = 60) -> None:
    with trio.fail_after(limit):
        await world.pool.event(status).wait()


async def gone(world: World, limit: float = 400) -> None:
    with trio.fail_after(limit):
        while world.node.children or (world.folder / TASK).exists():  # noqa: ASYNC110 - folders set no event
            await trio.sleep(0.1)


def is_contributed(world: World, **rest: object) -> Record:
    """A record of a task that waits for its consensus."""
    world.chain.contributed()
    return attrs.evolve(Record(samples.authorization(), told=list(TO_CONTRIBUTED)), **rest)  # type: ignore[arg-type]


async def test_a_replicate_that_is_started_again_misses_nothing(
    world: World, no_threads: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.computes()
    describe = type(world.chain).describe
    tries = 0

    async def away(chain: object, task_id: str) -> object:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("the node is away")
        return await describe(world.chain, task_id)

    monkeypatch.setattr(type(world.chain), "describe", away)
    await Journal(world.folder).save(Record(samples.authorization(), told=[Status.STARTED]))
    world.chain.task = attrs.evolve(world.chain.task, status=TaskStatus.FAILED)
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.testing.wait_all_tasks_blocked()
        assert "the node is away" in world.node.children[TASK].doing
        world.publish(Action.PLEASE_ABORT)
        # By itself it would look at the chain after half a minute.
        await told(world, Status.ABORTED, limit=20)
        await gone(world)


async def test_a_reveal_is_due_also_while_the_pool_is_away(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    back = trio.Event()
    for status in (Status.CONTRIBUTED, Status.REVEALING, Status.REVEALED):
        world.pool.slow[status] = back
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        # The pool is gone, the other workers are not.
        world.chain.consensus()
        await trio.sleep(120)
        assert world.sent == [Action.PLEASE_CONTRIBUTE, Action.PLEASE_REVEAL]
        world.pool.told.clear()
        back.set()
        await told(world, Status.REVEALED)
        world.chain.completed()
        await gone(world)
    # What was held back comes first, in order.
    assert world.pool.statuses == [
        Status.REVEALING,
        Status.REVEALED,
        Status.COMPLETING,
        Status.COMPLETED,
    ]


async def test_what_was_held_back_outlives_the_process(world: World, no_threads: MockClock) -> None:
    world.computes()
    for status in (Status.CONTRIBUTED, Status.REVEALING, Status.REVEALED):
        world.pool.silent.add(status)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        await trio.sleep(120)
    world.pool.silent.clear()
    world.pool.told.clear()
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.sleep(1)
    assert world.pool.statuses == [Status.CONTRIBUTED, Status.REVEALING, Status.REVEALED]
    assert world.sent == [Action.PLEASE_CONTRIBUTE, Action.PLEASE_REVEAL]


@pytest.mark.parametrize(
    "transactions", [{Kind.CONTRIBUTE: OTHER}, {}], ids=["sent", "found again"]
)
async def test_a_contribution_that_stands_is_revealed_though_the_pool_does_not_hear_of_it(
    world: World, no_threads: MockClock, transactions: dict[Kind, str]
) -> None:
    """After a crash between the contribution and its news; or with the journal lost there."""
    world.computes()
    for status in (Status.CONTRIBUTING, Status.CONTRIBUTED, Status.REVEALING, Status.REVEALED):
        world.pool.silent.add(status)
    journal = Journal(world.folder)
    record = Record(samples.authorization(), action=Action.PLEASE_CONTRIBUTE)
    record.transactions, record.lost = transactions, not transactions
    record.computed = None if record.lost else ComputedFile(result_digest=digest_of())
    await journal.save(record)
    leave_result(journal.folder(TASK))
    world.chain.contributed(digest_of())
    world.chain.consensus()
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.sleep(200)
    assert world.sent == [Action.PLEASE_REVEAL]


async def test_only_a_contribution_goes_on_without_the_pool(
    world: World, no_threads: MockClock
) -> None:
    """No reveal waits behind an upload, and nobody may want it any more."""
    world.computes()
    world.pool.silent.add(Status.RESULT_UPLOADING)
    record = is_contributed(
        world, action=Action.PLEASE_UPLOAD, transactions={Kind.CONTRIBUTE: OTHER}
    )
    record.told.append(Status.REVEALED)
    world.chain.revealed()
    world.chain.consensus()
    await Journal(world.folder).save(record)
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.sleep(200)
    assert Action.PLEASE_UPLOAD not in world.done


@pytest.mark.parametrize("says_so", [True, False])
async def test_an_upload_ends_when_nobody_needs_it_any_more(
    world: World, no_threads: MockClock, *, says_so: bool
) -> None:
    async def stuck(task: Task) -> Details:
        raise Unavailable("the result proxy is away")

    world.computes()
    world.hooks[Action.PLEASE_UPLOAD] = stuck
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        world.publish(Action.PLEASE_REVEAL, 7)
        await told(world, Status.REVEALED)
        world.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADING)
        # Another worker has uploaded it; the pool takes no COMPLETING of one that is uploading.
        world.chain.completed()
        world.pool.answers[Status.COMPLETING] = [Answer(202, Action.PLEASE_ABORT)]
        if says_so:
            world.publish(Action.PLEASE_COMPLETE)
        await gone(world, limit=10 if says_so else 60)
    assert Status.ABORTED not in world.pool.statuses


async def test_a_computation_ends_when_the_others_have_agreed_without_us(
    world: World, no_threads: MockClock
) -> None:
    computing = trio.Event()

    async def compute(task: Task) -> Details:
        computing.set()
        await trio.sleep_forever()

    world.hooks[Action.PLEASE_COMPUTE] = compute
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await computing.wait()
        world.chain.consensus("0x" + 64 * "7")
        await gone(world, limit=60)
    assert world.pool.told[-1].cause is Cause.CONSENSUS_REACHED


async def test_an_upload_that_was_asked_for_in_vain_is_asked_for(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        await told(world, Status.REVEALED)
        world.pool.wanted = [Notification(TASK, Action.PLEASE_UPLOAD, ())]
        await told(world, Status.RESULT_UPLOADED, limit=70)


async def test_a_task_between_two_steps_goes_on_where_it_is_when_the_pool_says_contribute(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    world.pool.answers[Status.APP_DOWNLOADED] = [Answer(200, None)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.APP_DOWNLOADED)
        world.pool.wanted = [Notification(TASK, Action.PLEASE_CONTRIBUTE, ())]
        await told(world, Status.CONTRIBUTED, limit=70)
    assert world.pool.statuses == list(TO_CONTRIBUTED)


async def unknown(chain: object, task_id: str) -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.logs_errors
async def test_a_task_of_a_chain_that_is_gone_is_kept_and_said_until_its_deadline(
    world: World, no_threads: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.chain), "describe", unknown)
    record = is_contributed(world, transactions={Kind.CONTRIBUTE: "0x1"}, final_deadline=3000)
    await Journal(world.folder).save(record)
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.sleep(300)
        said = world.node.children[TASK].last_error
        assert "of another chain than before; the task is kept for 33 min more" in said
        world.time = 3001
        await gone(world, limit=60)


async def test_the_deadline_of_a_task_is_in_its_record(world: World, no_threads: MockClock) -> None:
    world.computes()
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        await trio.testing.wait_all_tasks_blocked()
    ((record,), lost) = await Journal(world.folder).load()
    assert (record.final_deadline, lost) == (3000, [])


FORGED: Final = (*Action,)

#: Virtual seconds between what the pool and the other workers do.
PACE: Final = 40.0


@define(eq=False)
class UnreliableTopic:
    """Publishes what the pool says, or does not; and what the pool never said."""

    world: World
    luck: random.Random
    held: list[Notification] = field(factory=list)

    def publish(self, action: Action, block: int = 0) -> None:
        """Have the pool say *action*: it is lost, comes once or often, now or later."""
        said = Notification(TASK, action, (), block)
        for _ in range(self.luck.choice((0, 0, 1, 1, 3))):
            self.held.append(said)
        self.luck.shuffle(self.held)
        for _ in range(self.luck.randint(0, len(self.held))):
            self.world.subscriptions.deliver(self.held.pop())

    async def forge(self) -> None:
        """Publish as a stranger, for ever."""
        while True:
            await trio.sleep(self.luck.expovariate(1 / 15))
            block = self.luck.choice((0, 1, 10**12))
            action = self.luck.choice(FORGED)
            self.world.subscriptions.deliver(
                Notification(TASK, action, (), block, Cause.CONTRIBUTION_TIMEOUT)
            )


async def life(world: World, luck: random.Random) -> None:
    """Play the pool and the other workers until the task is over for us."""
    topic = UnreliableTopic(world, luck)
    chain = world.chain
    async with world.replicates() as replicates, trio.open_nursery() as nursery:
        nursery.start_soon(topic.forge)
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        await trio.sleep(luck.uniform(0, PACE))
        chain.consensus()
        world.pool.wanted = [Notification(TASK, Action.PLEASE_REVEAL, (), 7)]
        topic.publish(Action.PLEASE_REVEAL, 7)
        if luck.random() < 0.3:
            await replicates.recover(tuple(world.pool.wanted))
        await told(world, Status.REVEALED)
        world.pool.wanted = [Notification(TASK, Action.PLEASE_UPLOAD, ())]
        topic.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADED, limit=90)
        world.pool.wanted = [Notification(TASK, Action.PLEASE_WAIT, ())]
        await trio.sleep(luck.uniform(0, PACE))
        chain.completed()
        world.pool.wanted = [Notification(TASK, Action.PLEASE_COMPLETE, ())]
        topic.publish(Action.PLEASE_COMPLETE)
        await gone(world)
        nursery.cancel_scope.cancel()


async def test_the_pool_is_not_asked_what_it_wants_of_a_task_that_uploads(
    world: World, no_threads: MockClock
) -> None:
    sent = trio.Event()

    async def upload(task: Task) -> Details:
        await sent.wait()
        return Details(result_link="/ipfs/Qm")

    world.computes()
    world.hooks[Action.PLEASE_UPLOAD] = upload
    world.pool.wanted = [Notification(TASK, Action.PLEASE_WAIT, ())]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        world.publish(Action.PLEASE_REVEAL, 7)
        await told(world, Status.REVEALED)
        world.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADING)
        # By a stranger: the pool does not list who has revealed while another one uploads.
        world.publish(Action.PLEASE_ABORT)
        world.pool.wanted = []
        await trio.sleep(30)
        sent.set()
        await told(world, Status.RESULT_UPLOADED)
        await trio.sleep(1)
        assert world.pool.questions == 0
    assert Status.ABORTED not in world.pool.statuses


async def test_a_task_that_waits_lets_the_uploads_of_others_end_first(
    world: World, no_threads: MockClock
) -> None:
    record = Record(samples.authorization(OTHER), action=Action.PLEASE_UPLOAD)
    other = Task(record, Folder(world.folder / OTHER), Node(OTHER), trio.lowlevel.checkpoint)
    world.chain.contributed()
    world.chain.revealed()
    world.chain.consensus()
    waiting = Record(samples.authorization(), told=[*TO_CONTRIBUTED, Status.REVEALED])
    await Journal(world.folder).save(waiting)
    async with world.replicates() as replicates:
        replicates.around.credibility.uploads.enter(other)
        await replicates.resume()
        # It asks after a minute.
        await trio.sleep(90)
        assert world.pool.questions == 0
        other.record.action = None
        await trio.sleep(1)
        assert world.pool.questions == 1
        # Here again, and an upload that takes for ever does not keep it for ever.
        other.record.action = Action.PLEASE_UPLOAD
        await trio.sleep(60 + PATIENCE)
        assert world.pool.questions == 2


def not_asked_for(pool: FakePool, status: Status) -> bool:
    """A pool takes an upload only when it has asked for it."""
    asked = any(wish.action is Action.PLEASE_UPLOAD for wish in pool.wanted)
    return status in (Status.RESULT_UPLOADING, Status.RESULT_UPLOADED) and not asked


def repeated_once(statuses: list[Status]) -> list[Status]:
    """What the pool keeps of statuses it was told: each the first time."""
    return list(dict.fromkeys(statuses))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
async def test_lost_repeated_reordered_and_forged_messages_lead_to_the_same_end(
    tmp_path: Path, no_threads: MockClock, seed: int
) -> None:
    luck = random.Random(seed)
    world = World(tmp_path)
    world.computes()
    world.pool.refuses = partial(not_asked_for, world.pool)
    with trio.fail_after(1000):
        await life(world, luck)
    print(f"seed {seed}: {world.pool.statuses}")  # noqa: T201 - shown when it fails
    assert repeated_once(world.pool.statuses) == list(TO_COMPLETED)
    assert world.sent == [Action.PLEASE_CONTRIBUTE, Action.PLEASE_REVEAL]
    assert world.chain.contribution.status is ContributionStatus.PROVED
    assert (world.slots.used, world.subscriptions.task_ids) == (0, frozenset())
