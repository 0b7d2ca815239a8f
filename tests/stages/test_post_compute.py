"""Post-compute: what is said when more than one thing is wrong, and what is done until then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iexec_worker.errors import StageFailed
from iexec_worker.results.computed_file import MAX_BYTES, NAME
from iexec_worker.results.tree import Limits
from iexec_worker.stages.post_compute import PostCompute
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.stages.task import Task

SMALL = Limits(bytes=2 * MAX_BYTES)


@pytest.fixture
def out(task: Task) -> Path:
    task.folder.iexec_out.mkdir(parents=True, exist_ok=True)
    return task.folder.iexec_out


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


async def cause(task: Task) -> Cause:
    with pytest.raises(StageFailed) as failed:
        await PostCompute(SMALL)(task)
    return failed.value.cause


async def test_nothing_is_packed_when_the_computed_file_is_too_large(out: Path, task: Task) -> None:
    sparse(out / NAME, MAX_BYTES + 1)
    assert await cause(task) is Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED
    assert not task.folder.archive.exists()


async def test_a_name_that_is_too_long_is_said_first(out: Path, task: Task) -> None:
    sparse(out / NAME, MAX_BYTES + 1)
    (out / (32 * "x")).touch()
    assert await cause(task) is Cause.POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME


async def test_an_archive_that_fails_is_said_before_a_computed_file_that_is_none(
    out: Path, task: Task
) -> None:
    (out / NAME).symlink_to("/dev/zero")
    sparse(out / "result", SMALL.bytes + 1)
    assert await cause(task) is Cause.POST_COMPUTE_OUT_FOLDER_ZIP_FAILED
    (out / "result").unlink()
    assert await cause(task) is Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED
    assert task.folder.archive.exists()
