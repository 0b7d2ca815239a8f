from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.devpool.chaos.disk import fill, small_disk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "disk"


def mounted(path: Path) -> bool:
    return os.path.ismount(path)


async def full(path: Path) -> None:
    """Return as soon as nothing can be written any more."""
    with trio.fail_after(20):
        while os.statvfs(path).f_bavail:
            await trio.lowlevel.checkpoint()


async def test_a_disk_is_there_for_the_time_of_its_scope(folder: Path) -> None:
    async with small_disk(folder):
        assert mounted(folder)
    assert not mounted(folder)


async def test_a_cancelled_scope_leaves_no_disk(folder: Path) -> None:
    with trio.CancelScope() as scope:
        async with small_disk(folder):
            scope.cancel()
            await trio.sleep_forever()
    assert not mounted(folder)


async def test_a_full_disk_takes_nothing_until_it_is_emptied(folder: Path) -> None:
    async with small_disk(folder):
        async with trio.open_nursery() as filling:
            filling.start_soon(fill, folder, 3_600)
            await full(folder)
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                (folder / "file").write_bytes(b"x")
            filling.cancel_scope.cancel()

        (folder / "file").write_bytes(b"x")
