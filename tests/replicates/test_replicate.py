"""The life of a replicate: what it tells, what it believes, where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
import trio
import trio.testing

from iexec_worker.errors import StageFailed, Unavailable
from iexec_worker.model import Notification
from iexec_worker.replicates.slots import Slots
from iexec_worker.scheduler.api import Answer
from iexec_worker.stages.task import Details
from iexec_worker.wire import Action, Cause, Status
from tests.samples import TASK, TO_COMPLETED, TO_CONTRIBUTED

if TYPE_CHECKING:
    from iexec_worker.stages.task import Task
    from tests.replicates.conftest import World

# Threads write the journal, so the clock must be real; what would take long has other tests.
pytestmark = pytest.mark.timeout(20)


async def contribute(world: World) -> None:
    """What the contribute stage does to the chain."""

    async def stage(task: Task) -> Details:
        world.chain.contributed()
        return Details()

    world.hooks[Action.PLEASE_CONTRIBUTE] = stage


async def gone(world: World, limit: float = 10) -> None:
    with trio.fail_after(limit):
        while world.node.children or (world.folder / TASK).exists():
            await trio.testing.wait_all_tasks_blocked(0.01)


async def told(world: World, status: Status) -> None:
    with trio.fail_after(10):
        await world.pool.event(status).wait()


async def test_a_plain_task_tells_every_status_in_order_and_leaves_nothing(world: World) -> None:
    await contribute(world)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        world.publish(Action.PLEASE_REVEAL, 7)
        await told(world, Status.REVEALED)
        world.chain.revealed()
        world.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADED)
        world.chain.completed()
        world.publish(Action.PLEASE_COMPLETE)
        await told(world, Status.COMPLETED)
        await gone(world)
    assert world.pool.statuses == list(TO_COMPLETED)
    assert world.slots.used == 0


async def test_the_slot_is_free_while_the_task_waits_for_consensus(world: World) -> None:
    await contribute(world)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        assert world.slots.used == 1
        await told(world, Status.CONTRIBUTED)
        assert world.slots.used == 0


async def test_208_on_a_beginning_goes_on_and_on_a_result_knows_what_is_next(world: World) -> None:
    for status in TO_CONTRIBUTED:
        world.pool.answers[status] = [Answer(208, Action.PLEASE_WAIT)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
    assert world.pool.statuses == list(TO_CONTRIBUTED)


async def test_202_on_a_beginning_is_not_an_abort_while_the_pool_wants_the_task(
    world: World,
) -> None:
    world.pool.answers[Status.COMPUTING] = [Answer(202, Action.PLEASE_ABORT)]
    world.pool.wanted = [Notification(TASK, Action.PLEASE_CONTRIBUTE, ())]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)


async def test_202_on_a_beginning_aborts_when_the_pool_does_not_want_the_task(
    world: World,
) -> None:
    world.pool.answers[Status.COMPUTING] = [Answer(202, Action.PLEASE_ABORT)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.ABORTED)
        await gone(world)
    assert Action.PLEASE_COMPUTE not in world.done


async def test_an_empty_answer_is_no_action(world: World) -> None:
    world.pool.answers[Status.STARTED] = [Answer(200, None)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.STARTED)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert world.done == [Action.PLEASE_START]
        assert "waiting" in world.node.children[TASK].doing


async def test_a_failure_is_told_with_its_cause_then_aborted(world: World) -> None:
    async def stage(task: Task) -> Details:
        raise StageFailed(Cause.APP_COMPUTE_FAILED, "exit 3", exit_code=3, stderr="oh")

    world.hooks[Action.PLEASE_COMPUTE] = stage
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.ABORTED)
        await gone(world)
    failed = next(u for u in world.pool.told if u.status is Status.COMPUTE_FAILED)
    assert (failed.cause, failed.exit_code) == (Cause.APP_COMPUTE_FAILED, 3)
    assert failed.compute_logs is not None
    assert failed.compute_logs.stderr == "oh"


@pytest.mark.slow
async def test_a_passing_error_is_not_reported(world: World) -> None:
    tries = []

    async def stage(task: Task) -> Details:
        tries.append(1)
        if len(tries) == 1:
            raise Unavailable("the node is away")
        return Details()

    world.hooks[Action.PLEASE_CONTRIBUTE] = stage
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
    assert Status.CONTRIBUTE_FAILED not in world.pool.statuses
    assert len(tries) == 2


async def test_an_abort_cancels_the_computation_and_tells_the_cause(world: World) -> None:
    computing = trio.Event()

    async def stage(task: Task) -> Details:
        computing.set()
        await trio.sleep_forever()

    world.hooks[Action.PLEASE_COMPUTE] = stage
    async with world.replicates() as replicates:
        await world.begin(replicates)
        with trio.fail_after(5):
            await computing.wait()
        world.chain.consensus()
        world.subscriptions.deliver(
            Notification(TASK, Action.PLEASE_ABORT, (), abort_cause=Cause.CONSENSUS_REACHED)
        )
        await told(world, Status.ABORTED)
        await gone(world)
    assert world.pool.told[-1].cause is Cause.CONSENSUS_REACHED


async def test_an_abort_of_what_has_failed_is_no_question_to_the_pool(world: World) -> None:
    async def stage(task: Task) -> Details:
        raise StageFailed(Cause.APP_COMPUTE_FAILED, "exit 3")

    world.hooks[Action.PLEASE_COMPUTE] = stage
    world.pool.slow[Status.ABORTED] = trio.Event()
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.ABORTED)
        world.publish(Action.PLEASE_ABORT)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert world.pool.questions == 0
        world.pool.slow[Status.ABORTED].set()
        await gone(world)


async def test_a_forged_abort_does_not_give_up_a_contribution(world: World) -> None:
    await contribute(world)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.publish(Action.PLEASE_ABORT)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert Status.ABORTED not in world.pool.statuses
        world.chain.consensus()
        world.publish(Action.PLEASE_REVEAL, 7)
        await told(world, Status.REVEALED)


async def test_a_minority_is_aborted_though_the_pool_wants_everybody_to_reveal(
    world: World,
) -> None:
    await contribute(world)
    world.pool.wanted = [Notification(TASK, Action.PLEASE_REVEAL, (), 7)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus("0x" + 64 * "7")
        world.publish(Action.PLEASE_ABORT)
        await told(world, Status.ABORTED)
        await gone(world)


@pytest.mark.slow
async def test_a_reveal_without_consensus_on_chain_is_not_begun(world: World) -> None:
    await contribute(world)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.publish(Action.PLEASE_REVEAL, 7)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert Action.PLEASE_REVEAL not in world.done


async def test_a_forged_block_far_ahead_does_not_keep_us_from_revealing(world: World) -> None:
    blocks: list[int] = []

    async def reveal(task: Task) -> Details:
        await trio.lowlevel.checkpoint()
        blocks.append(task.record.consensus_block)
        return Details()

    await contribute(world)
    world.hooks[Action.PLEASE_REVEAL] = reveal
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.publish(Action.PLEASE_REVEAL, 10**12)
        world.publish(Action.PLEASE_REVEAL, 7)
        world.chain.consensus()
        await told(world, Status.REVEALED)
        assert [block <= world.chain.latest.number for block in blocks] == [True]


async def test_what_the_pool_never_publishes_is_dropped_at_once(world: World) -> None:
    world.pool.answers[Status.STARTED] = [Answer(200, None)]
    with structlog.testing.capture_logs() as logged:
        async with world.replicates() as replicates:
            await world.begin(replicates)
            await told(world, Status.STARTED)
            world.publish(Action.PLEASE_COMPUTE)
            await trio.testing.wait_all_tasks_blocked(0.05)
    assert "notification not believed" in [entry["event"] for entry in logged]


async def test_what_the_pool_never_publishes_is_not_believed(world: World) -> None:
    world.pool.answers[Status.STARTED] = [Answer(200, None)]
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.STARTED)
        world.publish(Action.PLEASE_COMPUTE)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert world.done == [Action.PLEASE_START]


async def test_a_result_that_was_not_acknowledged_is_told_again_without_doing_it_again(
    world: World,
) -> None:
    world.pool.silent.add(Status.COMPUTED)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.COMPUTED)
    # The process died before the answer came.
    world.pool.silent.clear()
    async with world.replicates() as replicates:
        await replicates.resume()
        await told(world, Status.CONTRIBUTED)
    assert world.done.count(Action.PLEASE_COMPUTE) == 1
    assert world.pool.statuses.count(Status.COMPUTED) == 2


async def test_a_task_that_is_not_on_chain_is_refused_aloud(world: World) -> None:
    async with world.replicates() as replicates:
        await world.begin(replicates, "0x" + 64 * "b")
        await told(world, Status.START_FAILED)
        await gone(world)
    assert world.pool.told[-1].cause is Cause.TASK_DESCRIPTION_NOT_FOUND
    assert world.slots.used == 0


async def test_what_the_pool_says_after_a_reconnect_is_not_lost_on_a_busy_replicate(
    world: World,
) -> None:
    await contribute(world)
    world.pool.answers[Status.CONTRIBUTED] = [Answer(208, Action.PLEASE_WAIT)]
    world.pool.slow[Status.CONTRIBUTED] = answered = trio.Event()
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        await replicates.recover((Notification(TASK, Action.PLEASE_REVEAL, (), 7),))
        answered.set()
        await told(world, Status.REVEALED)


async def test_an_upload_that_nobody_asked_for_does_not_end_the_task(world: World) -> None:
    await contribute(world)
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        world.publish(Action.PLEASE_REVEAL, 7)
        await told(world, Status.REVEALED)
        world.chain.revealed()
        # A stranger asks first; the pool did not, refuses the news and still wants the task.
        world.pool.answers[Status.RESULT_UPLOADED] = [Answer(202, Action.PLEASE_ABORT)]
        world.pool.wanted = [Notification(TASK, Action.PLEASE_WAIT, ())]
        world.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADED)
        world.pool.heard.pop(Status.RESULT_UPLOADED)
        world.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADED)
        world.chain.completed()
        world.publish(Action.PLEASE_COMPLETE)
        await told(world, Status.COMPLETED)
    assert Status.ABORTED not in world.pool.statuses


async def test_a_task_that_is_offered_when_all_is_over_is_for_the_next_life(world: World) -> None:
    async with world.replicates() as replicates:
        replicates.close()
        await world.begin(replicates)
        assert world.node.children == {}
        assert world.slots.used == 0
        records, lost = await replicates.around.journal.load()
    assert [record.authorization.chain_task_id for record in records] == [TASK]
    assert lost == []
    assert world.pool.told == []


async def test_a_task_that_is_offered_while_others_end_is_begun(world: World) -> None:
    async with world.replicates() as replicates:
        await world.begin(replicates, "0x" + 64 * "e")
        replicates.close()
        world.slots = Slots(1)
        await world.begin(replicates)
        await told(world, Status.STARTED)


async def test_the_enclaves_of_a_task_are_heard_as_long_as_it_lives(world: World) -> None:
    async with world.replicates() as replicates:
        assert replicates.reports(TASK) is None
        await world.begin(replicates)
        reports = replicates.reports(TASK)
        assert reports is not None
        assert reports.authorization.chain_task_id == TASK
        await told(world, Status.CONTRIBUTED)
        assert replicates.reports(TASK) is reports
