from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.app.disk import Disk
from iexec_worker.errors import Fatal
from iexec_worker.telemetry.tree import Node

if TYPE_CHECKING:
    import trio.testing


def disk(folder: Path, floor: int = 1) -> Disk:
    return Disk(folder, floor, Node("disk"))


async def test_room_above_the_floor_is_no_trouble_and_nothing_is_left_by_the_look(
    tmp_path: Path,
) -> None:
    there = disk(tmp_path / "not" / "yet" / "there")
    await there.require()
    assert await there.look() == there.trouble == ""
    assert os.listdir(there.folder) == []  # noqa: PTH208 - a name would do as well


async def test_too_little_room_is_told_with_what_to_do(tmp_path: Path) -> None:
    floor = shutil.disk_usage(tmp_path).free + 2**40
    assert "IEXEC_WORKER_MIN_FREE_DISK_GB" in await disk(tmp_path, floor).look()


async def test_a_folder_that_cannot_be_made_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    there = disk(tmp_path / "file" / "tasks")
    with pytest.raises(Fatal, match=r"cannot be written: Not a directory; .*IEXEC_WORKER_BASE_DIR"):
        await there.require()
    assert "cannot be written" in await there.look()


async def test_a_disk_that_may_have_room_later_does_not_end_the_start() -> None:
    # As on a file system that is read-only: nobody may make a folder there.
    there = disk(Path("/proc/self/tasks"))
    await there.require()
    assert "cannot be written" in await there.look()


async def test_a_disk_that_does_not_answer_is_trouble_and_keeps_one_thread(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    there = disk(tmp_path)
    async with trio.open_nursery() as nursery:
        # Whoever has the only turn does not give it back.
        await there._one.acquire()
        nursery.start_soon(there.look)
        await there.look()
        assert "does not answer" in there.trouble
