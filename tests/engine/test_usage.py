from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.engine.usage import ENTRY, Usage, usage

if TYPE_CHECKING:
    from pathlib import Path

MB: Final = 1024**2


async def of(folder: Path, most: int = 100 * MB) -> Usage:
    return await trio.to_thread.run_sync(usage, folder, most)


async def test_blocks_are_counted_of_all_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(bytes(2 * MB))

    found = await of(tmp_path)
    assert 2 * MB <= found.bytes < 3 * MB
    assert found.whole


async def test_holes_take_no_room_and_links_are_not_followed(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1024 * MB)
    (tmp_path / "link").symlink_to("/")

    assert (await of(tmp_path)).bytes == 2 * ENTRY


async def test_empty_files_take_room_too(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()

    assert (await of(tmp_path)).bytes == 100 * ENTRY


async def test_counting_ends_where_it_is_too_much(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()

    assert (await of(tmp_path, 10 * ENTRY)).bytes == 11 * ENTRY


async def test_nothing_is_there_before_it_is(tmp_path: Path) -> None:
    assert await of(tmp_path / "not yet") == Usage(0, whole=True)


@pytest.mark.slow
async def test_what_is_too_deep_is_said(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_DIRECTORY)
    for _ in range(50):
        os.mkdir("d" * 200, dir_fd=here)
        deeper = os.open("d" * 200, os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)

    assert not (await of(tmp_path)).whole
