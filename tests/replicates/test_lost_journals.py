"""A journal that cannot be read: what it held is found out again, and no stake is lost with it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from iexec_worker.chain.calls import Kind
from iexec_worker.model import Notification
from iexec_worker.replicates.journal import Journal
from iexec_worker.scheduler.api import Answer
from iexec_worker.stages.task import Details, Folder, Record
from iexec_worker.tee.model import Service, Services, TeeSession, TeeState
from iexec_worker.wire import Action, Cause, Status
from tests import samples
from tests.replicates.conftest import digest_of, leave_result
from tests.samples import TASK, TO_CONTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path
    from typing import Any

    from trio.testing import MockClock

    from iexec_worker.replicates.group import Replicates
    from iexec_worker.stages.task import Task
    from tests.replicates.conftest import World

pytestmark = pytest.mark.timeout(20)


async def told(world: World, status: Status) -> None:
    with trio.fail_after(400):
        await world.pool.event(status).wait()


async def gone(world: World) -> None:
    with trio.fail_after(400):
        while world.node.children or (world.folder / TASK).exists():  # noqa: ASYNC110 - folders set no event
            await trio.sleep(0.1)


def heard_before(world: World, *statuses: Status) -> None:
    """Have the pool know these statuses already."""
    for status in statuses:
        world.pool.answers[status] = [Answer(208, Action.PLEASE_WAIT)]


def damaged(world: World, content: bytes = b"") -> Folder:
    folder = Journal(world.folder).folder(TASK)
    folder.root.mkdir(exist_ok=True)
    folder.journal.write_bytes(content)
    return folder


async def wanted(replicates: Replicates, action: Action, block: int = 0) -> None:
    """Say what the pool answers to the question after a reconnect."""
    wish = Notification(TASK, action, (), block, authorization=samples.authorization())
    await replicates.recover((wish,))


async def test_what_is_written_down_is_for_this_user_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(2):
        await journal.save(Record(samples.authorization()))

        assert journal.folder(TASK).journal.stat().st_mode & 0o777 == 0o600


async def test_a_journal_from_before_transactions_were_kept_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    record = Record(
        samples.authorization(), told=[Status.CONTRIBUTED], transactions={Kind.REVEAL: "0x1"}
    )
    await journal.save(record)
    path = journal.folder(TASK).journal
    document = json.loads(path.read_text())
    # All that the first journals had; what came later must not be missed.
    for later in (
        *("held", "finalDeadline", "lost", "recomputing", "signed"),
        *("tee", "exitCauses", "offerLost"),
    ):
        del document["record"][later]
    path.write_text(json.dumps(document))

    assert await journal.load() == ([record], [])


async def test_what_a_trusted_task_was_given_is_read_again(tmp_path: Path) -> None:
    services = Services(
        Service("pre:1", "0xf", "run", 7), Service("post:1", env={"A": "b"}), None, "las:1"
    )
    record = Record(
        samples.authorization(),
        sms_url="http://sms",
        tee=TeeState(services, TeeSession("id", "cas:1")),
        exit_causes={"post": [Cause.POST_COMPUTE_TIMEOUT, Cause.UNKNOWN]},
    )
    journal = Journal(tmp_path)
    await journal.save(record)

    assert await journal.load() == ([record], [])
    assert "cas:1" not in repr(record)


def truncated(path: Path) -> None:
    path.write_text('{"version": 1, "record": {"authorization": {"chain_ta')


def newer(path: Path) -> None:
    path.write_text('{"version": 99, "record": {}}')


def no_json(path: Path) -> None:
    path.write_bytes(b"\x00\xff\x00")


def nested(path: Path) -> None:
    path.write_text(100_000 * "[")


def folder(path: Path) -> None:
    path.mkdir()


def dangling_link(path: Path) -> None:
    path.symlink_to("/nowhere")


def endless(path: Path) -> None:
    os.mkfifo(path)


def of_another_task(path: Path) -> None:
    path.write_text('{"version": 1, "record": {"authorization": 7}}')


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        newer,
        no_json,
        nested,
        folder,
        dangling_link,
        endless,
        of_another_task,
        lambda path: path.write_bytes(b""),
        lambda path: None,
    ],
)
async def test_a_contribution_whose_journal_is_lost_is_revealed_from_its_folder(
    world: World, no_threads: MockClock, damage: Callable[[Path], None]
) -> None:
    world.computes()
    place = Journal(world.folder).folder(TASK)
    leave_result(place)
    damage(place.journal)
    world.chain.contributed(digest_of())
    heard_before(world, Status.CONTRIBUTING, Status.CONTRIBUTED)
    async with world.replicates() as replicates:
        await replicates.resume()
        assert replicates.lives(TASK)
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        await told(world, Status.REVEALED)
        world.publish(Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADED)
        world.chain.completed()
        world.publish(Action.PLEASE_COMPLETE)
        await gone(world)
    assert Action.PLEASE_COMPUTE not in world.done
    assert world.sent == [Action.PLEASE_REVEAL]
    assert world.pool.statuses[-1] is Status.COMPLETED


async def test_what_was_set_aside_is_named(
    world: World, no_threads: MockClock, log_events: list[MutableMapping[str, Any]]
) -> None:
    damaged(world, b"{")
    async with world.replicates() as replicates:
        await replicates.resume()
        assert (world.folder / TASK / "journal.unreadable").read_bytes() == b"{"
    (said,) = (e for e in log_events if e["event"] == "journal set aside")
    assert said["path"].endswith(f"{TASK}/journal.unreadable")
    assert "JSONDecodeError" in said["reason"]


@pytest.mark.logs_errors
async def test_a_result_that_is_gone_too_is_computed_again_and_told_to_nobody(
    world: World, no_threads: MockClock, log_events: list[MutableMapping[str, Any]]
) -> None:
    world.computes()
    damaged(world)
    world.chain.contributed(digest_of())
    world.chain.consensus()
    async with world.replicates() as replicates:
        await replicates.resume()
        await told(world, Status.REVEALED)
    assert world.pool.statuses[0] is Status.CONTRIBUTING
    assert world.done.count(Action.PLEASE_COMPUTE) == 1
    assert world.slots.used == 0
    (said,) = (e for e in log_events if e["log_level"] == "error")
    assert (said["stake"], said["lost_in"]) == (5, "1700 s")


@pytest.mark.logs_errors
async def test_a_result_that_is_not_what_was_contributed_is_computed_again(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    leave_result(damaged(world), b"tampered with")
    world.chain.contributed(digest_of())
    world.chain.consensus()
    async with world.replicates() as replicates:
        await replicates.resume()
        await told(world, Status.REVEALED)
    assert world.sent == [Action.PLEASE_REVEAL]


@pytest.mark.logs_errors
async def test_a_computation_that_was_cut_goes_on_in_the_next_life(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    compute = world.hooks[Action.PLEASE_COMPUTE]
    computing = trio.Event()

    async def cut(task: Task) -> Details:
        computing.set()
        await trio.sleep_forever()

    world.hooks[Action.PLEASE_COMPUTE] = cut
    damaged(world)
    world.chain.contributed(digest_of())
    async with world.replicates() as replicates:
        await replicates.resume()
        await computing.wait()
        assert world.slots.used == 1
    world.hooks[Action.PLEASE_COMPUTE] = compute
    async with world.replicates() as replicates:
        await replicates.resume()
        await told(world, Status.CONTRIBUTED)
        world.chain.consensus()
        await told(world, Status.REVEALED)


@pytest.mark.logs_errors
async def test_another_result_is_never_revealed_nor_the_task_dropped_before_its_time(
    world: World, no_threads: MockClock, log_events: list[MutableMapping[str, Any]]
) -> None:
    world.computes(b"random 1", b"random 2")
    damaged(world)
    world.chain.contributed(digest_of())
    world.chain.consensus()
    async with world.replicates() as replicates:
        await replicates.resume()
        await wanted(replicates, Action.PLEASE_REVEAL, 7)
        world.publish(Action.PLEASE_ABORT)
        await trio.sleep(100)
        assert replicates.lives(TASK)
        world.time = 3000.0
        await gone(world)
    assert Action.PLEASE_REVEAL not in world.sent
    assert [e["reason"] for e in log_events if "cannot be revealed" in e["event"]] == [
        "it is not deterministic"
    ]


async def test_nothing_on_chain_is_begun_again_when_the_pool_wants_it(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    damaged(world)
    async with world.replicates() as replicates:
        await replicates.resume()
        await wanted(replicates, Action.PLEASE_CONTRIBUTE)
        await told(world, Status.CONTRIBUTED)
        (task,) = replicates.tasks
        assert task.authorization == samples.authorization()
    assert world.pool.statuses == list(TO_CONTRIBUTED)


async def test_nothing_on_chain_and_not_wanted_leaves_nothing(
    world: World, no_threads: MockClock
) -> None:
    damaged(world)
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.testing.wait_all_tasks_blocked()
        assert "waiting for the pool's wish" in world.node.children[TASK].doing
        await replicates.recover(())
        await gone(world)
    assert world.done == []


async def test_a_task_the_chain_does_not_know_leaves_nothing_when_it_is_not_wanted(
    world: World,
    no_threads: MockClock,
) -> None:
    unknown = "0x" + 64 * "b"
    (world.folder / unknown).mkdir()
    async with world.replicates() as replicates:
        await replicates.resume()
        await trio.sleep(100)
        assert (world.folder / unknown).exists()
        assert "disowns" in world.node.children[unknown].last_error
        await replicates.recover(())
        with trio.fail_after(100):
            while (world.folder / unknown).exists():  # noqa: ASYNC110 - folders set no event
                await trio.sleep(1)


async def test_a_task_of_which_nothing_is_left_here_is_taken_up_again(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    async with world.replicates() as replicates:
        await replicates.resume()
        await wanted(replicates, Action.PLEASE_CONTRIBUTE)
        await told(world, Status.CONTRIBUTED)


async def test_what_was_revealed_is_uploaded_and_completed(
    world: World, no_threads: MockClock
) -> None:
    world.computes()
    leave_result(damaged(world))
    world.chain.contributed(digest_of())
    world.chain.consensus()
    world.chain.revealed()
    heard_before(world, Status.REVEALING, Status.REVEALED)
    async with world.replicates() as replicates:
        await replicates.resume()
        await wanted(replicates, Action.PLEASE_UPLOAD)
        await told(world, Status.RESULT_UPLOADED)
        world.chain.completed()
        await wanted(replicates, Action.PLEASE_COMPLETE)
        await gone(world)
    assert world.sent == []
    assert world.pool.statuses[-1] is Status.COMPLETED


async def test_what_was_completed_meanwhile_is_completed(
    world: World, no_threads: MockClock
) -> None:
    damaged(world)
    world.chain.contributed(digest_of())
    world.chain.revealed()
    world.chain.completed()
    async with world.replicates() as replicates:
        await replicates.resume()
        await gone(world)
    assert world.pool.statuses == [Status.COMPLETING, Status.COMPLETED]


@pytest.mark.logs_errors
async def test_folders_that_cannot_be_listed_are_listed_later_and_none_is_begun_anew(
    world: World, no_threads: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Journal(world.folder).save(Record(samples.authorization(), told=[Status.CONTRIBUTED]))
    world.chain.contributed()
    scandir = os.scandir

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    async with world.replicates() as replicates:
        await replicates.resume()
        await wanted(replicates, Action.PLEASE_WAIT)
        assert not replicates.lives(TASK)
        await trio.sleep(1)
        assert "cannot be listed: [Errno 13]" in world.node.doing
        assert replicates.around.journal.trouble == world.node.doing
        monkeypatch.setattr(os, "scandir", scandir)
        await trio.sleep(60)
        assert replicates.lives(TASK)
        assert replicates.around.journal.trouble == world.node.doing == ""
