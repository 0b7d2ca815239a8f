from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import docker
import pytest
import trio
from attrs import define

from iexec_worker.devpool import images
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine import labels
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.janitor.janitor import PERIOD, Janitor
from iexec_worker.janitor.leftovers import SET_ASIDE_KEPT, Leftovers
from iexec_worker.telemetry.tree import Node

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

IMAGE = "iexec-worker-tests/sleep:1"
OURS, THEIRS = "0x" + 40 * "1", "0x" + 40 * "2"
TASK, OTHER = "0x" + 64 * "a", "0x" + 64 * "b"


#: Names of containers, and what they are labelled with. Two are called as those of a worker named
#: `iexec-janitor` would be.
MARKS = {
    "iexec-janitor-known": {labels.WALLET: OURS, labels.TASK: TASK},
    f"iexec-janitor-{OTHER}": {labels.WALLET: OURS, labels.TASK: OTHER},
    "iexec-janitor-stranger": {labels.WALLET: THEIRS, labels.TASK: OTHER},
    f"iexec-janitor-{TASK}": {},
    "iexec-janitor-foreign": {"com.example.task": OTHER, f"x.{labels.WALLET}": OURS},
    "iexec-janitor-no-task": {labels.WALLET: OURS},
    "iexec-janitor-empty-task": {labels.WALLET: OURS, labels.TASK: ""},
    "iexec-janitor-no-wallet": {labels.TASK: OTHER},
    "iexec-janitor-service": {labels.WALLET: OURS, labels.SERVICE: "las"},
    "iexec-janitor-their-service": {labels.WALLET: THEIRS, labels.SERVICE: "las"},
}


@pytest.mark.docker
async def test_only_containers_of_ours_that_nobody_knows_are_removed(
    engine_url: str, tmp_path: Path
) -> None:
    """Nothing else that an engine holds is, whatever it is called or labelled with."""
    await images.build(engine_url, IMAGE, Recipe(command=("/bin/sleep", "60")))
    client = docker.DockerClient(base_url=engine_url)
    alike, marks = f"iexec-janitor-{OTHER}", {labels.WALLET: OURS, labels.TASK: OTHER}
    volume = client.volumes.create(alike, labels=marks)
    network = client.networks.create(alike, labels=marks)
    engine = Engine(engine_url)
    containers = Containers(engine)
    for name, own in MARKS.items():
        await containers.start(ContainerSpec(name, IMAGE, labels=own))
    stopped = ContainerSpec("iexec-janitor-stopped", IMAGE, ("/bin/sh", "-c", "exit"), labels=marks)
    await containers.wait(await containers.start(stopped), limit=20)
    try:
        leftovers = Leftovers(tmp_path, containers, OURS, lambda: {"iexec-janitor-service"})
        assert await leftovers.remove_containers(lambda task: task == TASK) == 2
        left = {name for name in (*MARKS, stopped.name) if await containers.find(name)}
        assert MARKS.keys() - left == {alike}
        assert stopped.name not in left
        # Each raises when it is gone.
        client.volumes.get(alike)
        client.networks.get(alike)
        client.images.get(IMAGE)
    finally:
        for name in (*MARKS, stopped.name):
            await containers.remove(name)
        await engine.aclose()
        volume.remove()
        network.remove()
        client.close()


def nobody(task: str) -> bool:
    return False


@pytest.fixture
def leftovers(tmp_path: Path) -> Leftovers:
    return Leftovers(tmp_path, Containers(Engine(None)), OURS)


def make(folder: Path, *files: str) -> Path:
    (folder / "output").mkdir(parents=True)
    for name in files:
        (folder / name).touch()
    return folder


async def test_only_folders_of_tasks_that_nobody_knows_are_removed(
    leftovers: Leftovers, tmp_path: Path
) -> None:
    make(tmp_path / OTHER)
    interrupted = make(tmp_path / ("0x" + 64 * "9" + ".removing"), "journal.json")
    known = make(tmp_path / ("0x" + 64 * "c"), "journal.json")
    aside = make(tmp_path / ("0x" + 64 * "d"), "journal.unreadable")
    living = make(tmp_path / TASK)
    stranger = make(tmp_path / "not-a-task")
    file = tmp_path / ("0x" + 64 * "e")
    file.touch()
    link = tmp_path / ("0x" + 64 * "f")
    link.symlink_to(stranger)
    assert await leftovers.remove_folders(lambda task: task == TASK) == 2
    assert not interrupted.exists()
    left = sorted(tmp_path.iterdir())  # noqa: ASYNC240 - a handful of names
    assert left == sorted((known, aside, living, stranger, file, link))


async def test_a_journal_set_aside_keeps_its_folder_for_as_long_as_a_task_can_last(
    leftovers: Leftovers, tmp_path: Path
) -> None:
    folder = make(tmp_path / OTHER, "journal.unreadable")
    age = time.time() - SET_ASIDE_KEPT
    os.utime(folder / "journal.unreadable", (age + 60, age + 60))
    assert await leftovers.remove_folders(nobody) == 0
    os.utime(folder / "journal.unreadable", (age - 60, age - 60))
    assert await leftovers.remove_folders(nobody) == 1


async def test_a_task_that_begins_while_its_old_folder_is_removed_has_one_of_its_own(
    leftovers: Leftovers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make(tmp_path / OTHER)

    def slowly(folder: Path) -> None:
        make(old, "journal.json")
        shutil.rmtree(folder)

    monkeypatch.setattr("iexec_worker.janitor.leftovers.remove", slowly)
    assert await leftovers.remove_folders(nobody) == 1
    assert (old / "journal.json").exists()


async def test_a_folder_that_cannot_be_removed_is_told_once(
    leftovers: Leftovers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log_events: list[MutableMapping[str, Any]],
) -> None:
    make(tmp_path / OTHER)
    monkeypatch.setattr("iexec_worker.janitor.leftovers.remove", lambda folder: None)
    assert [await leftovers.remove_folders(nobody) for _ in range(3)] == [0, 0, 0]
    assert [e["event"] for e in log_events if e["log_level"] == "warning"] == [
        "a folder cannot be removed: remove it by hand"
    ]


@define(eq=False)
class Counting:
    looks: int = 0

    async def remove_folders(self, lives: object) -> int:
        await trio.lowlevel.checkpoint()
        self.looks += 1
        return 0

    async def remove_containers(self, lives: object) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    async def tidy(self, needed: object) -> int:
        await trio.lowlevel.checkpoint()
        return 0


async def test_the_janitor_waits_for_the_pools_word_and_then_comes_every_few_minutes(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    counting, recovered = Counting(), trio.Event()
    images: Any = counting
    leftovers: Any = counting
    await nursery.start(Janitor(leftovers, images, nobody, tuple, recovered, Node("janitor")).run)
    await trio.sleep(1000)
    assert counting.looks == 0
    recovered.set()
    await trio.sleep(2.5 * PERIOD)
    assert counting.looks == 3
