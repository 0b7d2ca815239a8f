from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs
import pytest

from iexec_worker.devpool.chaos.evidence import Ended, Evidence, Part, Remains
from iexec_worker.devpool.chaos.invariants import INVARIANTS, breaches
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Status

README: Final = Path(__file__).parents[3] / "README.md"

GOOD: Final = "0x" + "aa" * 32
BAD: Final = "0x" + "bb" * 32

PART: Final = Part(
    wallet="0x01",
    status=Status.COMPLETED,
    failures={},
    contributions=1,
    reveals=1,
    onchain=ContributionStatus.PROVED,
    in_consensus=True,
)
TASK: Final = Ended(
    task_id="0x77",
    number=7,
    expected=GOOD,
    state="COMPLETED after FINALIZED",
    onchain=TaskStatus.COMPLETED,
    digest=GOOD,
    delivered=GOOD,
    parts=(PART,),
)
WORKER: Final = Remains(
    name="worker-1",
    wallet="0x01",
    lost=0,
    drained=True,
    status=0,
    containers=(),
    files=(),
    set_aside=(),
    processes=(),
    errors=(),
    interrupted={},
)


def task(**changes: object) -> Evidence:
    return Evidence((attrs.evolve(TASK, **changes),), (WORKER,))  # type: ignore[arg-type]  # fields of a task


def part(**changes: object) -> Evidence:
    return task(parts=(attrs.evolve(PART, **changes),))  # type: ignore[arg-type]  # fields of a part


def worker(**changes: object) -> Evidence:
    return Evidence((TASK,), (attrs.evolve(WORKER, **changes),))  # type: ignore[arg-type]  # fields of a worker


def kills(seconds: list[float]) -> Evidence:
    return attrs.evolve(task(), recoveries=tuple(seconds))


BROKEN: Final = [
    ("once", part(contributions=2)),
    ("once", part(reveals=2)),
    ("once", part(contributions=0)),
    ("once", part(reveals=0)),
    ("revealed", part(onchain=ContributionStatus.CONTRIBUTED)),
    ("stake", worker(lost=300)),
    ("taken", task(parts=())),
    ("remembered", task(state="RUNNING after INITIALIZED")),
    ("remembered", task(state="UNKNOWN", onchain=TaskStatus.UNSET)),
    ("remembered", part(status=Status.CONTRIBUTED)),
    ("delivered", task(delivered="")),
    ("delivered", task(delivered=BAD)),
    ("honest", task(digest=BAD, delivered=BAD)),
    ("honest", part(failures={Status.COMPUTE_FAILED: None})),
    ("containers", worker(containers=("/worker-1-0x77",))),
    ("folders", worker(files=("0x77",))),
    ("journals", worker(set_aside=("0x77/journal.unreadable",))),
    ("drained", worker(status=1)),
    ("drained", worker(drained=False)),
    ("drained", worker(processes=(4711,))),
    ("logs", worker(errors=("1 x since yesterday: failed",))),
    ("prompt", kills(2 * [1.0] + 3 * [5.1])),
]


def test_what_went_well_breaks_nothing() -> None:
    assert breaches(task()) == []


@pytest.mark.parametrize(("name", "evidence"), BROKEN)
def test_a_breach_is_seen(name: str, evidence: Evidence) -> None:
    assert [breach.invariant for breach in breaches(evidence)] == [name]


def test_a_breach_names_task_and_worker() -> None:
    (breach,) = breaches(part(reveals=2))

    assert breach.where == "task 7 0x77, worker-1 0x01"
    assert breach.seen == "1 contributions, 2 reveals"


def test_every_invariant_has_been_seen_broken() -> None:
    assert {name for name, _ in BROKEN} == {invariant.name for invariant in INVARIANTS}


def test_a_failure_that_was_told_may_have_another_result() -> None:
    failed = {Status.APP_DOWNLOAD_FAILED: "APP_IMAGE_DOWNLOAD_FAILED"}
    told = attrs.evolve(PART, failures=failed)

    assert breaches(task(digest=BAD, delivered=BAD, parts=(told,))) == []


def test_a_failure_that_makes_no_error_result_excuses_nothing() -> None:
    failed = {Status.RESULT_UPLOAD_FAILED: "RESULT_LINK_MISSING"}
    told = attrs.evolve(PART, failures=failed)

    (breach,) = breaches(task(digest=BAD, delivered=BAD, parts=(told,)))

    assert breach.invariant == "honest"


def test_a_failure_of_another_worker_excuses_nothing() -> None:
    failed = {Status.APP_DOWNLOAD_FAILED: "APP_IMAGE_DOWNLOAD_FAILED"}
    other = attrs.evolve(PART, wallet="0x02", failures=failed, in_consensus=False)

    (breach,) = breaches(task(digest=BAD, delivered=BAD, parts=(PART, other)))

    assert breach.invariant == "honest"


def test_a_contribution_that_is_not_in_the_consensus_need_not_be_revealed() -> None:
    assert breaches(part(in_consensus=False, onchain=ContributionStatus.REJECTED)) == []


@pytest.mark.parametrize("seconds", [3 * [1.0] + 2 * [60.0], 4 * [60.0], []])
def test_recoveries_that_other_faults_delay_or_that_are_few_prove_nothing(
    seconds: list[float],
) -> None:
    assert breaches(kills(seconds)) == []


def test_the_readme_has_all_invariants_with_their_promises() -> None:
    _, _, table = README.read_text().partition("| invariant | promise |\n| --- | --- |\n")
    told = [f"| {invariant.name} | {invariant.text} |" for invariant in INVARIANTS]

    assert table.partition("\n\n")[0].splitlines() == told


def test_a_contribution_that_came_too_late_was_made_once_all_the_same() -> None:
    late = {"onchain": ContributionStatus.UNSET, "in_consensus": False, "reveals": 0}

    assert breaches(part(**late)) == []
