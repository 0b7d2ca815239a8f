from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool import images
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine import labels
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.janitor.leftovers import Leftovers

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "iexec-worker-tests/sleep:1"
OURS, THEIRS = "0x" + 40 * "1", "0x" + 40 * "2"
TASK, OTHER = "0x" + 64 * "a", "0x" + 64 * "b"


@pytest.mark.docker
async def test_only_containers_of_ours_that_nobody_knows_are_removed(
    engine_url: str, tmp_path: Path
) -> None:
    await images.build(engine_url, IMAGE, Recipe(command=("/bin/sleep", "60")))
    engine = Engine(engine_url)
    containers = Containers(engine)
    wanted = {"known": (OURS, TASK), "orphan": (OURS, OTHER), "stranger": (THEIRS, OTHER)}
    for name, (wallet, task) in wanted.items():
        marks = {labels.WALLET: wallet, labels.TASK: task}
        await containers.start(ContainerSpec(f"iexec-janitor-{name}", IMAGE, labels=marks))
    try:
        await Leftovers(tmp_path, containers, OURS).remove_containers(lambda task: task == TASK)
        found = {name: await containers.find(f"iexec-janitor-{name}") for name in wanted}
        assert {name for name, container in found.items() if container} == {"known", "stranger"}
    finally:
        for name in wanted:
            await containers.remove(f"iexec-janitor-{name}")
        await engine.aclose()


async def test_only_folders_of_tasks_without_a_journal_are_removed(tmp_path: Path) -> None:
    orphan, known, aside = (tmp_path / ("0x" + 64 * c) for c in "abc")
    other = tmp_path / "not-a-task"
    link = tmp_path / ("0x" + 64 * "d")
    for folder in (orphan, known, aside, other):
        (folder / "output").mkdir(parents=True)
    (known / "journal.json").touch()
    (aside / "journal.unreadable").touch()
    link.symlink_to(other)
    await Leftovers(tmp_path, Containers(Engine(None)), OURS).remove_folders()
    left = sorted(tmp_path.iterdir())  # noqa: ASYNC240 - a handful of names
    assert left == sorted((known, aside, other, link))
