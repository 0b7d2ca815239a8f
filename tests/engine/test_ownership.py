from __future__ import annotations

import io
import os
import tarfile
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.engine.containers import Containers
from iexec_worker.engine.ownership import Closed, archive, find_closed, take_over
from iexec_worker.engine.spec import ContainerSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iexec_worker.engine.client import Engine

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@contextmanager
def somebody_else() -> Iterator[None]:
    os.seteuid(12_345)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Pytest's folders are closed to everybody else.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
async def test_what_is_closed_is_found_and_links_are_not_followed(folder: Path) -> None:
    (folder / "shut").mkdir()
    (folder / "shut" / "unseen").touch()
    (folder / "shut").chmod(0o700)
    (folder / "mine").mkdir()
    os.chown(folder / "mine", 12_345, 0)
    for name in ("open.txt", "private.txt"):
        (folder / "mine" / name).touch()
    (folder / "mine" / "private.txt").chmod(0o600)
    (folder / "mine" / "link").symlink_to("/root")
    with somebody_else():
        closed = await trio.to_thread.run_sync(find_closed, folder)

    assert sorted(closed, key=lambda one: one.path) == [
        Closed("mine/private.txt", is_folder=False),
        Closed("shut", is_folder=True),
    ]


def test_the_archive_names_folders_and_links_to_files_with_us_as_their_owner() -> None:
    packed = archive([Closed("a/b", is_folder=True), Closed("a/\udcff\n", is_folder=False)])

    with tarfile.open(fileobj=io.BytesIO(packed), errors="surrogateescape") as tar:
        entries = tar.getmembers()
    assert {entry.uid for entry in entries} == {os.geteuid()}
    assert [entry.name for entry in entries if entry.isdir()] == [".taken-over", "a/b"]
    assert [(entry.name, entry.linkname) for entry in entries if entry.islnk()] == [
        (".taken-over/1", "a/\udcff\n")
    ]


async def test_the_engine_is_not_asked_when_nothing_is_closed(gone: Engine, tmp_path: Path) -> None:
    (tmp_path / "open.txt").touch()

    await take_over(Containers(gone), ContainerSpec("any", "any:1"), tmp_path)
