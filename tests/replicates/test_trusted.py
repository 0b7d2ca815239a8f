"""The life of a trusted task: ended by one transaction of ours, whoever hears of it and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing

from iexec_worker.errors import StageFailed, Unserved
from iexec_worker.model import ZERO_HASH, ComputedFile, Notification
from iexec_worker.replicates.standings import overdue
from iexec_worker.replicates.table import caught_up
from iexec_worker.scheduler.api import Answer
from iexec_worker.stages.conditions import Standing
from iexec_worker.stages.task import Details, Folder, Record, Task
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action, Cause, Status
from tests import samples
from tests.replicates.conftest import DIGEST
from tests.samples import SCONE, TASK, TO_CONTRIBUTED

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.replicates.conftest import World

pytestmark = pytest.mark.timeout(20)

ONGOING, DONE, FAILED = (
    Status.CONTRIBUTE_AND_FINALIZE_ONGOING,
    Status.CONTRIBUTE_AND_FINALIZE_DONE,
    Status.CONTRIBUTE_AND_FINALIZE_FAILED,
)
TO_DONE = (*TO_CONTRIBUTED[:-2], ONGOING, DONE)


@pytest.fixture
def trusted(world: World) -> World:
    """A pool with one trusted task; its worker ends it on-chain."""

    async def compute(task: Task) -> Details:
        task.record.computed = ComputedFile("/iexec_out/a", result_digest=DIGEST)
        await task.save()
        return Details(exit_code=0)

    async def finalize(task: Task) -> Details:
        ended(world)
        return Details(result_link="link")

    world.chain.changes = {"tag": SCONE}
    world.hooks |= {
        Action.PLEASE_COMPUTE: compute,
        Action.PLEASE_CONTRIBUTE_AND_FINALIZE: finalize,
    }
    world.pool.answers[Status.COMPUTED] = [Answer(200, Action.PLEASE_CONTRIBUTE_AND_FINALIZE)]
    return world


def ended(world: World) -> None:
    """The chain shows a task that was ended by us."""
    world.chain.contributed()
    world.chain.revealed()
    world.chain.completed()


async def gone(world: World, limit: float = 10) -> None:
    with trio.fail_after(limit):
        while world.node.children or (world.folder / TASK).exists():  # noqa: ASYNC110 - folders set no event
            await trio.sleep(0.01)


async def told(world: World, status: Status, limit: float = 10) -> None:
    with trio.fail_after(limit):
        await world.pool.event(status).wait()


async def test_it_is_contributed_and_finalised_at_once(trusted: World) -> None:
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, DONE)
        assert trusted.slots.used == 0
        trusted.publish(Action.PLEASE_COMPLETE)
        await told(trusted, Status.COMPLETED)
        await gone(trusted)
    assert trusted.pool.statuses == [*TO_DONE, Status.COMPLETING, Status.COMPLETED]
    assert next(u for u in trusted.pool.told if u.status is DONE).result_link == "link"


async def test_208_means_the_same_next_step_as_for_the_first_time(trusted: World) -> None:
    for status in TO_DONE:
        trusted.pool.answers[status] = [Answer(208, Action.PLEASE_WAIT)]
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, DONE)
    assert trusted.pool.statuses == list(TO_DONE)


async def test_a_word_that_was_lost_is_read_from_the_chain(
    trusted: World, no_threads: MockClock
) -> None:
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, Status.COMPLETED, 400)
        await gone(trusted, 400)
    assert trusted.pool.statuses == [*TO_DONE, Status.COMPLETING, Status.COMPLETED]


@pytest.mark.parametrize("answer", [Answer(202, Action.PLEASE_ABORT), Answer(200, None)])
async def test_a_pool_that_does_not_believe_it_yet_is_waited_for(
    trusted: World, no_threads: MockClock, answer: Answer
) -> None:
    trusted.pool.answers[DONE] = [answer]
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, Status.COMPLETED, 400)
    assert Status.ABORTED not in trusted.pool.statuses


async def test_a_recovery_that_says_contribute_means_the_end_of_a_trusted_task(
    trusted: World,
) -> None:
    trusted.pool.answers[Status.COMPUTED] = [Answer(200, None)]
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, Status.COMPUTED)
        with trio.fail_after(10):
            while replicates.tasks[0].record.action is not None:  # noqa: ASYNC110 - records set no event
                await trio.sleep(0.01)
        await replicates.recover((Notification(TASK, Action.PLEASE_CONTRIBUTE, ()),))
        await told(trusted, DONE)
    assert Action.PLEASE_CONTRIBUTE not in trusted.done


@pytest.mark.parametrize(
    ("tag", "trust", "told", "computed", "expected"),
    [
        (SCONE, 1, [Status.COMPUTED], True, Action.PLEASE_CONTRIBUTE_AND_FINALIZE),
        (SCONE, 1, [Status.APP_DOWNLOAD_FAILED], True, Action.PLEASE_CONTRIBUTE),
        (SCONE, 1, [], False, Action.PLEASE_START),
        (SCONE, 2, [Status.COMPUTED], True, Action.PLEASE_CONTRIBUTE),
        (ZERO_HASH, 1, [Status.COMPUTED], True, Action.PLEASE_CONTRIBUTE),
    ],
)
async def test_what_follows_when_the_pool_says_contribute(
    *,
    world: World,
    tag: str,
    trust: int,
    told: list[Status],
    computed: bool,
    expected: Action,
) -> None:
    task = make_task(world, tag=tag, trust=trust)
    task.record.told = told
    task.record.computed = ComputedFile("/iexec_out/a") if computed else None
    assert caught_up(Action.PLEASE_CONTRIBUTE, task) is expected


async def test_a_failed_end_is_told_with_its_cause_then_aborted(trusted: World) -> None:
    async def refuse(task: Task) -> Details:
        raise StageFailed(Cause.TASK_ALREADY_CONTRIBUTED)

    trusted.hooks[Action.PLEASE_CONTRIBUTE_AND_FINALIZE] = refuse
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, Status.ABORTED)
        await gone(trusted)
    assert trusted.pool.statuses[-2:] == [FAILED, Status.ABORTED]
    assert trusted.pool.told[-2].cause is Cause.TASK_ALREADY_CONTRIBUTED


async def test_an_end_that_was_mined_after_all_is_not_aborted(
    trusted: World, no_threads: MockClock
) -> None:
    async def late(task: Task) -> Details:
        ended(trusted)
        raise StageFailed(Cause.CHAIN_UNREACHABLE)

    trusted.hooks[Action.PLEASE_CONTRIBUTE_AND_FINALIZE] = late
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, Status.COMPLETED, 400)
        await gone(trusted, 400)
    assert Status.ABORTED not in trusted.pool.statuses


async def test_nobody_waits_for_ever_for_a_pool_that_never_sees_the_end(
    trusted: World, no_threads: MockClock
) -> None:
    trusted.pool.silent.add(Status.COMPLETING)
    trusted.pool.answers[DONE] = [Answer(200, Action.PLEASE_ABORT)]
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, DONE)
        trusted.time = 3000 + 301
        await told(trusted, Status.ABORTED, 400)
        await gone(trusted, 400)


async def test_a_service_of_this_task_that_stays_away_is_a_cause_in_the_end(
    trusted: World, no_threads: MockClock
) -> None:
    async def away(task: Task) -> Details:
        trusted.time += 100
        raise Unserved("no result proxy", Cause.RESULT_LINK_MISSING)

    trusted.hooks[Action.PLEASE_CONTRIBUTE_AND_FINALIZE] = away
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, FAILED, 2000)
    failed = next(u for u in trusted.pool.told if u.status is FAILED)
    assert failed.cause is Cause.RESULT_LINK_MISSING
    assert trusted.time >= 2000


def make_task(world: World, **changes: object) -> Task:
    async def save() -> None:
        await trio.lowlevel.checkpoint()

    task = Task(Record(samples.authorization()), Folder(world.folder / TASK), Node(TASK), save)
    task.describe_as(samples.description(**changes))
    return task


@pytest.mark.parametrize("wanted", [True, False])
async def test_an_error_is_contributed_only_while_the_pool_still_wants_the_task(
    trusted: World, wanted: bool
) -> None:
    async def fail(task: Task) -> Details:
        task.record.computed = ComputedFile("/iexec_out/error.txt", result_digest=DIGEST)
        raise StageFailed(Cause.APP_IMAGE_DOWNLOAD_FAILED)

    async def contribute(task: Task) -> Details:
        trusted.chain.contributed()
        return Details()

    trusted.hooks |= {Action.PLEASE_DOWNLOAD_APP: fail, Action.PLEASE_CONTRIBUTE: contribute}
    failed = Status.APP_DOWNLOAD_FAILED
    trusted.pool.answers[failed] = [Answer(200, Action.PLEASE_CONTRIBUTE)]
    if wanted:
        trusted.pool.wanted = [Notification(TASK, Action.PLEASE_CONTRIBUTE, ())]
    async with trusted.replicates() as replicates:
        await trusted.begin(replicates)
        await told(trusted, Status.CONTRIBUTED if wanted else Status.ABORTED)
    assert (Action.PLEASE_CONTRIBUTE in trusted.done) is wanted


@pytest.mark.parametrize("told", [[], [DONE], [ONGOING]])
async def test_a_task_that_is_completed_with_our_result_is_complete_whatever_was_told(
    world: World, told: list[Status]
) -> None:
    ended(world)
    view = await world.chain.contribute_view(TASK, "")
    task = make_task(world, tag=SCONE)
    task.record.told = told
    assert overdue(task, Standing(*view), 1000) is Action.PLEASE_COMPLETE
    another = attrs.evolve(Standing(*view), contribution=samples.uncontributed())
    assert overdue(task, another, 1000) is Action.PLEASE_ABORT
