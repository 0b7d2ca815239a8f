"""Why this machine takes no task now."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from iexec_worker.app.assembly import _trouble_here
from iexec_worker.app.disk import Disk
from iexec_worker.replicates.journal import Journal
from iexec_worker.stages.task import Record
from iexec_worker.telemetry.tree import Node
from tests import samples

if TYPE_CHECKING:
    from pathlib import Path


@define(eq=False)
class FakeWatch:
    trouble: str = ""


@define(eq=False)
class Machine:
    """The parts of an identity that are looked at."""

    engine: FakeWatch
    disk: Disk


def machine(tasks: Path) -> Any:  # noqa: ANN401 - stands for an identity
    return Machine(FakeWatch(), Disk(tasks, 1, Node("disk")))


async def test_a_machine_is_fit_when_all_of_it_is(tmp_path: Path) -> None:
    assert await _trouble_here(machine(tmp_path), Journal(tmp_path)) == ""


async def test_an_engine_that_is_away_and_a_disk_that_is_full_are_trouble(tmp_path: Path) -> None:
    own = machine(tmp_path)
    own.disk.floor = shutil.disk_usage(tmp_path).free + 2**40
    assert "IEXEC_WORKER_MIN_FREE_DISK_GB" in await _trouble_here(own, Journal(tmp_path))
    own.engine.trouble = "the container engine does not answer"
    assert await _trouble_here(own, Journal(tmp_path)) == own.engine.trouble


async def test_a_journal_that_cannot_be_written_is_trouble_until_it_can(tmp_path: Path) -> None:
    own, journal = machine(tmp_path), Journal(tmp_path)
    record = Record(samples.authorization())
    # Where the task's folder would be there is a file: the disk has room, and yet it cannot be.
    (tmp_path / samples.TASK).touch()
    with pytest.raises(OSError, match=samples.TASK):
        await journal.save(record)
    assert f"the journal of {samples.TASK} cannot be written" in await _trouble_here(own, journal)

    (tmp_path / samples.TASK).unlink()
    await journal.save(record)
    assert await _trouble_here(own, journal) == ""
