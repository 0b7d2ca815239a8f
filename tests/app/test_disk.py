from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from iexec_worker.app.disk import Disk
from iexec_worker.errors import Fatal
from iexec_worker.telemetry.tree import Node


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


async def test_what_was_found_stays_until_more_is_known_and_a_queue_shares_one_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, slow, goes_on = disk(tmp_path), trio.Event(), threading.Event()
    looks: list[str] = []
    await there.look()

    def find(_: Disk) -> str:
        looks.append("")
        trio.from_thread.run_sync(slow.set)
        goes_on.wait(5)
        return ""

    monkeypatch.setattr(Disk, "_find", find)
    async with trio.open_nursery() as nursery:
        for _ in range(16):
            nursery.start_soon(there.look)
        await slow.wait()
        assert there.trouble == ""
        await trio.testing.wait_all_tasks_blocked()
        goes_on.set()
    assert len(looks) == 2


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
