"""What enclaves tell: once, on disk before they hear of it, and only what can still be wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from iexec_worker.model import ZERO_HASH, ComputedFile, TaskStatus
from iexec_worker.stages.task import Record, Task
from iexec_worker.stages.trusted.reports import PATIENCE, Reports, forget, reported
from iexec_worker.tee.model import Part
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Cause
from tests import samples
from tests.samples import SCONE
from tests.stages.conftest import DIGEST

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from tests.stages.conftest import FakeChain

SIGNATURE = "0x" + 130 * "1"
FILE = ComputedFile("/iexec_out/a", result_digest=DIGEST, enclave_signature=SIGNATURE)


@pytest.fixture
def saved() -> list[Record]:
    """The record as it was each time it was written down."""
    return []


@pytest.fixture
def reports(conditions: Conditions, chain: FakeChain, task: Task, saved: list[Record]) -> Reports:
    async def save() -> None:
        await trio.lowlevel.checkpoint()
        saved.append(attrs.evolve(task.record, exit_causes=dict(task.record.exit_causes)))

    task.save = save
    task.describe_as(samples.description(tag=SCONE))
    blocks: Any = chain
    return Reports(task, conditions, blocks)


async def test_causes_are_taken_once_for_each_part(
    reports: Reports, task: Task, saved: list[Record]
) -> None:
    two = (Cause.POST_COMPUTE_IPFS_UPLOAD_FAILED, Cause.POST_COMPUTE_ENCRYPTION_FAILED)
    assert await reports.exit(Part.POST, two)
    assert await reports.exit(Part.PRE, (Cause.PRE_COMPUTE_TIMEOUT,))
    assert not await reports.exit(Part.POST, (Cause.POST_COMPUTE_TIMEOUT,))

    assert reported(task.record, Part.POST) == list(two)
    assert [sorted(record.exit_causes) for record in saved] == [["post"], ["post", "pre"]]


async def test_a_part_that_runs_again_may_fail_again(reports: Reports, task: Task) -> None:
    await reports.exit(Part.PRE, (Cause.PRE_COMPUTE_TIMEOUT,))
    forget(task.record, Part.PRE)
    assert reported(task.record, Part.PRE) == []
    assert await reports.exit(Part.PRE, (Cause.PRE_COMPUTE_DATASET_KEY_MISSING,))


async def test_a_result_is_on_disk_before_it_counts_as_taken(
    reports: Reports, task: Task, saved: list[Record]
) -> None:
    assert await reports.computed(FILE)
    assert [record.computed for record in saved] == [FILE]


async def test_of_two_results_that_come_at_once_one_is_taken(reports: Reports) -> None:
    taken = []

    async def send(path: str) -> None:
        taken.append(await reports.computed(attrs.evolve(FILE, deterministic_output_path=path)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, "/iexec_out/a")
        nursery.start_soon(send, "/iexec_out/b")
    assert sorted(taken) == [False, True]


@pytest.mark.parametrize(
    "file",
    [
        attrs.evolve(FILE, result_digest=""),
        attrs.evolve(FILE, result_digest=ZERO_HASH),
        attrs.evolve(FILE, result_digest="0x12"),
        attrs.evolve(FILE, enclave_signature=""),
        attrs.evolve(FILE, enclave_signature="0x" + 128 * "1"),
    ],
)
async def test_a_result_without_digest_or_signature_is_none(
    reports: Reports, task: Task, saved: list[Record], file: ComputedFile
) -> None:
    assert not await reports.computed(file)
    assert (task.record.computed, saved) == (None, [])


@pytest.mark.parametrize("status", [s for s in TaskStatus if s is not TaskStatus.ACTIVE])
async def test_a_task_that_is_not_active_wants_no_result(
    *,
    reports: Reports,
    chain: FakeChain,
    task: Task,
    status: TaskStatus,
    autojump_clock: trio.testing.MockClock,
) -> None:
    # UNSET is what a node shows that is behind: it is asked again for a while.
    chain.idles = True
    chain.task = attrs.evolve(chain.task, status=status)
    assert not await reports.computed(FILE)
    assert task.record.computed is None


async def test_a_standard_task_has_no_enclave_that_could_tell(reports: Reports, task: Task) -> None:
    task.describe_as(samples.description())
    assert not await reports.computed(FILE)


async def test_a_chain_that_is_away_is_asked_again(reports: Reports, chain: FakeChain) -> None:
    chain.away_until = 103
    assert await reports.computed(FILE)


async def test_a_chain_that_stays_away_takes_no_result(
    reports: Reports, chain: FakeChain, task: Task, autojump_clock: trio.testing.MockClock
) -> None:
    chain.away_until = 10**9
    chain.idles = True
    began = trio.current_time()
    assert not await reports.computed(FILE)
    assert trio.current_time() - began == pytest.approx(PATIENCE)
    assert task.record.computed is None


async def test_a_task_that_was_not_read_from_the_chain_yet_is_waited_for(
    reports: Reports, chain: FakeChain, task: Task, autojump_clock: trio.testing.MockClock
) -> None:
    unknown = Task(task.record, task.folder, Node("x"), task.save)
    early = attrs.evolve(reports, task=unknown)

    def described() -> None:
        if chain.head == 105:
            unknown.describe_as(samples.description(tag=SCONE))

    chain.on_block = described
    assert await early.computed(FILE)
