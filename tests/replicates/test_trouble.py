"""What goes wrong around a replicate, and that it neither gives up too early nor hangs for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing

from iexec_worker.chain.calls import Kind
from iexec_worker.chain.node.rpc import NodeRefused
from iexec_worker.errors import Rejected, Reverted, Unavailable
from iexec_worker.model import Notification, StatusUpdate, TaskStatus
from iexec_worker.replicates.journal import Journal
from iexec_worker.scheduler.api import Answer
from iexec_worker.stages.task import Details, Record
from iexec_worker.wire import Action, Cause, Status
from tests import samples
from tests.replicates.conftest import FakeChain, FakePool
from tests.samples import SIGNED, TASK

if TYPE_CHECKING:
    from iexec_worker.model import TaskDescription
    from iexec_worker.stages.task import Task
    from tests.replicates.conftest import World

pytestmark = pytest.mark.timeout(20)


async def gone(world: World) -> None:
    with trio.fail_after(10):
        while world.node.children or (world.folder / TASK).exists():
            await trio.testing.wait_all_tasks_blocked(0.01)


async def told(world: World, status: Status) -> None:
    with trio.fail_after(10):
        await world.pool.event(status).wait()


async def contributed(world: World) -> None:
    async def stage(task: Task) -> Details:
        world.chain.contributed()
        return Details()

    world.hooks[Action.PLEASE_CONTRIBUTE] = stage


def record(action: Action | None, *statuses: Status) -> Record:
    return Record(samples.authorization(), None, action, told=list(statuses))


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [NodeRefused(-32000, "execution timeout"), OSError(28, "No space left"), Rejected("no")],
)
async def test_a_stage_that_could_not_be_tried_is_tried_again(
    world: World, error: Exception
) -> None:
    async def stage(task: Task) -> Details:
        if world.done.count(Action.PLEASE_CONTRIBUTE) == 1:
            raise error
        return Details()

    world.hooks[Action.PLEASE_CONTRIBUTE] = stage
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        assert world.node.children[TASK].restarts == 0


async def test_a_node_that_refuses_while_an_abort_is_checked_does_not_stop_the_app(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    computing, asked = trio.Event(), trio.Event()

    async def stage(task: Task) -> Details:
        computing.set()
        await trio.sleep_forever()

    async def refuse(_chain: FakeChain, task_id: str, worker: str) -> None:
        asked.set()
        raise NodeRefused(-32000, "execution timeout")

    world.hooks[Action.PLEASE_COMPUTE] = stage
    async with world.replicates() as replicates:
        await world.begin(replicates)
        with trio.fail_after(5):
            await computing.wait()
        monkeypatch.setattr(FakeChain, "contribute_view", refuse)
        world.publish(Action.PLEASE_ABORT)
        with trio.fail_after(5):
            await asked.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert world.node.children[TASK].restarts == 0
        assert world.node.children[TASK].last_error == ""


async def test_an_abort_between_two_steps_is_not_forgotten(world: World) -> None:
    others = await world.slots.acquire()
    async with world.replicates() as replicates:
        await Journal(world.folder).save(record(Action.PLEASE_COMPUTE, Status.DATA_DOWNLOADED))
        await replicates.resume()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert "slot" in world.node.children[TASK].doing
        world.publish(Action.PLEASE_ABORT)
        await told(world, Status.ABORTED)
        await gone(world)
    others.release()
    assert Action.PLEASE_COMPUTE not in world.done


@pytest.mark.parametrize("mined", [True, False])
async def test_an_abort_waits_for_a_contribution_that_was_sent(mined: bool, world: World) -> None:
    async with world.replicates() as replicates:
        sent = record(None, Status.CONTRIBUTING)
        sent.signed[Kind.CONTRIBUTE] = [SIGNED.hex]
        await Journal(world.folder).save(sent)
        await replicates.resume()
        await replicates.recover((Notification(TASK, Action.PLEASE_ABORT, (), 0),))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert "waiting for a contribution" in world.node.children[TASK].doing
        if mined:
            world.chain.contributed()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert world.pool.statuses == []
            return
        # Another transaction of the wallet has its nonce: it will never be mined.
        world.chain.used = SIGNED.nonce + 1
        await told(world, Status.ABORTED)


async def test_an_abort_that_was_refused_leaves_the_replicate_waiting(world: World) -> None:
    await contributed(world)
    world.pool.answers[Status.CONTRIBUTED] = [Answer(202, Action.PLEASE_ABORT)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        await trio.testing.wait_all_tasks_blocked(0.05)
        world.chain.consensus()
        # What the pool says after a reconnect is for those that wait.
        await replicates.recover((Notification(TASK, Action.PLEASE_REVEAL, (), 7),))
        await told(world, Status.REVEALED)


@pytest.mark.slow
async def test_a_task_whose_final_deadline_has_passed_ends_though_nobody_heard_its_news(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = trio.Event()

    async def report(
        _pool: FakePool, task_id: str, update: StatusUpdate, *, deadline: float
    ) -> Answer:
        await trio.lowlevel.checkpoint()
        if update.status is Status.STARTED:
            world.time = 4000.0
        if world.time >= deadline:
            late.set()
            raise Unavailable("not told in time")
        return Answer(200, Action.PLEASE_CONTINUE)

    monkeypatch.setattr(FakePool, "report", report)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        with trio.fail_after(5):
            await late.wait()
        await gone(world)
    assert world.slots.used == 0


async def test_a_task_whose_completion_was_told_ends_though_its_record_remained(
    world: World,
) -> None:
    world.chain.completed()
    async with world.replicates() as replicates:
        await Journal(world.folder).save(record(None, Status.REVEALED, Status.COMPLETED))
        await replicates.resume()
        await gone(world)
    assert world.pool.statuses == []


async def test_a_node_that_is_behind_does_not_make_us_forget_a_contribution(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = trio.Event()

    async def unknown(_chain: FakeChain, task_id: str) -> TaskDescription | None:
        await trio.lowlevel.checkpoint()
        asked.set()
        return None

    monkeypatch.setattr(FakeChain, "describe", unknown)
    kept = record(None, Status.CONTRIBUTED)
    kept.transactions[Kind.CONTRIBUTE] = "0x1"
    async with world.replicates() as replicates:
        await Journal(world.folder).save(kept)
        await replicates.resume()
        with trio.fail_after(5):
            await asked.wait()
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert (world.folder / TASK / "journal.json").exists()
    assert world.pool.statuses == []


@pytest.mark.parametrize("error", [Reverted("viewApp was refused"), Rejected("not decodable")])
async def test_a_deal_that_cannot_be_read_is_refused_and_gives_its_slot_back(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def unreadable(_chain: FakeChain, task_id: str) -> TaskDescription | None:
        await trio.lowlevel.checkpoint()
        raise error

    monkeypatch.setattr(FakeChain, "describe", unreadable)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.START_FAILED)
        await gone(world)
    assert world.pool.told[-1].cause is Cause.TASK_DESCRIPTION_INVALID
    assert world.slots.used == 0


async def test_a_forged_abort_of_a_completed_task_is_not_believed(world: World) -> None:
    world.chain.revealed()
    world.chain.completed()
    async with world.replicates() as replicates:
        await Journal(world.folder).save(
            record(None, Status.CONTRIBUTED, Status.REVEALED, Status.RESULT_UPLOADED)
        )
        await replicates.resume()
        await trio.testing.wait_all_tasks_blocked(0.05)
        world.publish(Action.PLEASE_ABORT)
        await trio.testing.wait_all_tasks_blocked(0.05)
        world.publish(Action.PLEASE_COMPLETE)
        await told(world, Status.COMPLETED)
        await gone(world)
    assert Status.ABORTED not in world.pool.statuses


async def test_a_failed_task_is_aborted(world: World) -> None:
    world.chain.task = attrs.evolve(world.chain.task, status=TaskStatus.FAILED)
    async with world.replicates() as replicates:
        await Journal(world.folder).save(record(None, Status.STARTED))
        await replicates.resume()
        await trio.testing.wait_all_tasks_blocked(0.05)
        world.publish(Action.PLEASE_ABORT)
        await told(world, Status.ABORTED)
        await gone(world)
