"""What is said of tasks that are not over when the worker ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from attrs import define

from iexec_worker.errors import Unavailable
from iexec_worker.membership.ending import Ending
from iexec_worker.membership.parking import PATIENCE, Parking, announce_unmet
from iexec_worker.model import ZERO_ADDRESS, Account, Contribution, ContributionStatus, TaskStatus
from iexec_worker.replicates.journal import Journal
from iexec_worker.stages.conditions import Standing
from iexec_worker.stages.task import Folder, Record, Task
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action
from tests.samples import TO_COMPLETED, TO_CONTRIBUTED, active, authorization, description

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    import trio.testing

    from iexec_worker.wire import Status

RESULT = "0x" + 64 * "7"
NOW = 2050.0


@define(eq=False)
class FakeChain:
    """Shows *standing*, fails with it, or says nothing."""

    standing_now: Standing | Exception | None = None
    asked: int = 0

    def now(self) -> float:
        return NOW

    async def standing(self, task: Task) -> Standing:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if isinstance(self.standing_now, Exception):
            raise self.standing_now
        if self.standing_now is None:
            await trio.sleep_forever()
        assert self.standing_now is not None
        return self.standing_now


def contributed(status: TaskStatus, *, consensus: str = RESULT) -> Standing:
    task = attrs.evolve(active(), status=status, reveal_deadline=2350, consensus_value=consensus)
    ours = Contribution(ContributionStatus.CONTRIBUTED, RESULT, RESULT, ZERO_ADDRESS)
    return Standing(task, ours, Account(0, 5))


async def parked(
    folder: Path,
    told: tuple[Status, ...],
    chain: FakeChain,
    *,
    lost: bool = False,
    recomputing: bool = False,
) -> None:
    async def save() -> None:
        """Nothing is changed here."""

    record = Record(authorization(), None, Action.PLEASE_COMPUTE, told=list(told))
    record.lost, record.recomputing = lost, recomputing
    node = Node("0xa", doing="computing app:1")
    task = Task(record, Folder(folder), node, save)
    task.describe_as(description())
    conditions: Any = chain
    await Parking(conditions).announce((task,))


Log = list["MutableMapping[str, Any]"]


async def test_a_task_without_a_contribution_goes_on_until_the_contribution_deadline(
    tmp_path: Path, log_events: Log
) -> None:
    chain = FakeChain()
    await parked(tmp_path, TO_CONTRIBUTED[:-2], chain)
    (said,) = log_events
    assert (said["log_level"], said["was"], chain.asked) == ("warning", "computing app:1", 0)
    assert said["before"].endswith("in 50 s")


@pytest.mark.logs_errors
async def test_a_reveal_that_is_due_is_told_loudly_with_its_deadline(
    tmp_path: Path, log_events: Log
) -> None:
    await parked(tmp_path, TO_CONTRIBUTED, FakeChain(contributed(TaskStatus.REVEALING)))
    (said,) = log_events
    assert said["log_level"] == "error"
    assert said["reveal_before"].endswith("in 300 s")
    assert "start the worker again before" in said["next_step"]


@pytest.mark.logs_errors
async def test_a_contribution_that_waits_for_consensus_is_told_loudly(
    tmp_path: Path, log_events: Log
) -> None:
    await parked(tmp_path, TO_CONTRIBUTED, FakeChain(contributed(TaskStatus.ACTIVE)))
    (said,) = log_events
    assert (said["log_level"], said["final_deadline"][-8:]) == ("error", "in 950 s")


@pytest.mark.logs_errors
@pytest.mark.parametrize("answer", [None, Unavailable("no node")])
async def test_a_chain_that_says_nothing_holds_nobody_up_and_is_taken_for_the_worst(
    answer: Exception | None,
    tmp_path: Path,
    log_events: Log,
    autojump_clock: trio.testing.MockClock,
) -> None:
    with trio.fail_after(PATIENCE + 0.1):
        await parked(tmp_path, TO_CONTRIBUTED, FakeChain(answer))
    assert log_events[-1]["log_level"] == "error"


@pytest.mark.logs_errors
@pytest.mark.parametrize(("lost", "recomputing"), [(True, False), (False, True)])
async def test_a_contribution_that_no_journal_knows_any_more_is_told_loudly(
    tmp_path: Path, log_events: Log, *, lost: bool, recomputing: bool
) -> None:
    chain = FakeChain(contributed(TaskStatus.REVEALING))
    await parked(tmp_path, (), chain, lost=lost, recomputing=recomputing)
    (said,) = log_events
    assert (said["log_level"], said["reveal_before"][-8:]) == ("error", "in 300 s")


async def test_what_cannot_be_revealed_any_more_alarms_nobody(
    tmp_path: Path, log_events: Log
) -> None:
    lost = contributed(TaskStatus.REVEALING, consensus="0x" + 64 * "8")
    await parked(tmp_path, TO_CONTRIBUTED, FakeChain(lost))
    await parked(tmp_path, TO_COMPLETED[:12], FakeChain())
    assert [said["log_level"] for said in log_events] == ["warning", "warning"]


@pytest.mark.logs_errors
async def test_tasks_that_nobody_took_up_are_spoken_of_as_well(
    tmp_path: Path, log_events: Log
) -> None:
    journal = Journal(tmp_path)
    standing = Record(authorization("0x" + 64 * "1"), told=list(TO_CONTRIBUTED))
    begun = Record(authorization("0x" + 64 * "2"))
    for record in (standing, begun):
        await journal.save(record)
    journal.folder("0x" + 64 * "3").root.mkdir()

    await announce_unmet(journal)

    assert [(said["task"][-1], said["log_level"]) for said in log_events] == [
        ("1", "error"),
        ("2", "warning"),
        ("3", "warning"),
    ]
    assert {said["event"].partition(" ")[0].rstrip(":") for said in log_events} == {"parked"}


async def test_tasks_that_cannot_be_listed_do_not_keep_a_worker_from_ending(
    tmp_path: Path, log_events: Log
) -> None:
    (tmp_path / "tasks").write_text("no folder")

    await announce_unmet(Journal(tmp_path / "tasks"))

    (said,) = log_events
    assert said["event"] == "the tasks of an earlier life cannot be read"


async def test_a_drain_has_its_time_and_leaves_containers_running_after_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ending = Ending(600)
    ending.drain()
    await trio.sleep(60)
    ending.drain()
    assert not ending.leaves_running()
    await ending.patience_ends()
    ending.park()
    assert trio.current_time() == 600
    assert ending.leaves_running()


async def test_a_stop_waits_for_nothing_and_leaves_nothing_running(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ending = Ending(600)
    ending.stop()
    await ending.patience_ends()
    ending.park()
    assert (trio.current_time(), ending.draining.is_set()) == (0, True)
    assert not ending.leaves_running()
