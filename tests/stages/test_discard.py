from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from iexec_worker.engine import labels
from iexec_worker.engine.state import FoundContainer
from iexec_worker.errors import Unavailable
from iexec_worker.stages.discard import Discard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.stages.task import Task

WALLET = "0x" + 40 * "1"


@define(eq=False)
class FakeContainers:
    """An engine with one container of each of *labels*; away when *error* is set."""

    labels: list[Mapping[str, str]]
    error: Exception | None = None
    removed: list[str] = field(factory=list)

    async def list_ours(self, wanted: Mapping[str, str]) -> tuple[FoundContainer, ...]:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return tuple(
            FoundContainer(f"c{number}", "", "app:1", "running", 0.0, found)
            for number, found in enumerate(self.labels)
            if wanted.items() <= found.items()
        )

    async def remove(self, container: str) -> None:
        await trio.lowlevel.checkpoint()
        self.removed.append(container)


async def test_the_container_of_an_earlier_life_goes_with_the_files(task: Task) -> None:
    task.folder.iexec_out.mkdir(parents=True)
    ours = {labels.WALLET: WALLET, labels.TASK: task.id}
    fake: Any = FakeContainers([ours | {labels.TASK: "0x2"}, ours])

    await Discard(fake, WALLET)(task)

    assert fake.removed == ["c1"]
    assert not task.folder.output.exists()


async def test_an_engine_that_is_away_does_not_keep_the_files(task: Task) -> None:
    task.folder.iexec_out.mkdir(parents=True)
    fake: Any = FakeContainers([], Unavailable("no engine"))

    await Discard(fake, WALLET)(task)

    assert not task.folder.output.exists()
