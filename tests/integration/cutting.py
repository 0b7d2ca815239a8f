"""Workers that are cut at drawn steps of their lives, again and again, and started anew."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define, field

from iexec_worker.cli.cuts import Cut, Kind
from iexec_worker.devpool.worker_process import worker_process
from iexec_worker.errors import Fatal
from tests.integration.hired import read_events

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.integration.hired import Place

#: The most steps between two cuts, or from a life's begin to its first: a task alone takes about
#: half as many, so that all of its steps are met, and each life brings some task to its end.
SPAN: Final = 1500

#: How many of ten cuts are of which kind. Those of parts cost no start of a process.
_KINDS: Final = (*5 * [Kind.PART], *2 * [Kind.ROOT], *3 * [Kind.CRASH])


def draw(seed: int, points: int, workers: int) -> list[list[list[Cut]]]:
    """
    Draw *points* cuts for the lives of *workers*; every one that is not of a part ends a life.

    So does each worker's last one: then it is known to have been made.
    """
    random = Random(seed)
    plans: list[list[list[Cut]]] = [[[]] for _ in range(workers)]
    for number in range(points):
        lives = plans[number % workers]
        if lives[-1] and lives[-1][-1].kind is not Kind.PART:
            lives.append([])
        before = lives[-1][-1].step if lives[-1] else 0
        kind = random.choice(_KINDS) if number < points - workers else Kind.CRASH
        lives[-1].append(Cut(before + random.randint(1, SPAN), kind))
    return plans


@define(eq=False)
class Mortal:
    """A worker at *place*; its *lives* are cut, the one after them is not. *done*: it is there."""

    place: Place
    inherited: Mapping[str, str]
    lives: list[list[Cut]]
    done: trio.Event = field(factory=trio.Event)
    logs: list[Path] = field(factory=list)

    async def run(self) -> None:
        """Live one life after the other; the last one until cancelled."""
        for cuts in self.lives:
            while not await self._live(cuts):
                """Its port went to somebody else: once more."""
        self.done.set()
        while not await self._live([]):
            """As above."""

    async def _live(self, cuts: list[Cut]) -> bool:
        """Live until a cut ends it; False when it did not come to live."""
        folder = self.place.folder / f"life-{len(self.logs)}"
        self.logs.append(folder / f"{self.place.name}.log")
        arguments = [word for cut in cuts for word in ("--cut", f"{cut.kind}@{cut.step}")]
        try:
            async with worker_process(
                folder,
                self.place.name,
                self.place.environment,
                inherited=self.inherited,
                command="interruptible",
                arguments=arguments,
            ) as worker:
                await worker.child.process.wait()
        except Fatal as error:
            # It may be cut before it serves HTTP: what it goes on with does not wait for that.
            if "Address already in use" in str(error):
                return False
        made, ending = self.cuts_made(-1), cuts[-1].kind if cuts else None
        assert made, f"it ended though nobody had cut it: {self.logs[-1]}"
        assert made[-1]["kind"] == ending, f"it outlived its last cut: {self.logs[-1]}"
        return True

    def events(self) -> list[dict[str, Any]]:
        """What it logged in all its lives."""
        return [event for log in self.logs for event in read_events(log)]

    def cuts_made(self, life: int | None = None) -> list[dict[str, Any]]:
        """The cuts that were made, in one life or in all."""
        logs = self.logs if life is None else [self.logs[life]]
        return [e for log in logs for e in read_events(log) if e["event"] == "cut"]
