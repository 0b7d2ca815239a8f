"""One run: a path, perhaps cut at one point, the next life, and what is there in the end."""

from __future__ import annotations

import enum
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
import trio.testing
from attrs import define, field, frozen

from iexec_worker.supervise import describe
from tests.chaos.clockwork import clockwork
from tests.chaos.life import Life
from tests.chaos.mortal import LIFE, WATCHING
from tests.chaos.outcome import check_nothing_left, read_outcome
from tests.chaos.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.chaos.outcome import Outcome
    from tests.chaos.paths import Script

#: Virtual seconds after which a run has failed to end: beyond the task's final deadline.
PATIENCE: Final = 4000.0

#: The longest pause between two lives, virtual seconds.
PAUSE: Final = 20.0

#: Virtual seconds that are waited for what should not come any more.
AFTERMATH: Final = 6.0

#: Virtual seconds between two looks whether a run is over.
_LOOK_EVERY: Final = 3.0


class Cut(enum.Enum):
    """Ways to end a life."""

    CANCEL = "cleanup runs"
    CRASH = "nothing of it has an effect any more"


@frozen
class Point:
    """The *step*-th time that a task of the worker runs: there its life ends."""

    kind: Cut
    step: int


@define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts the steps of a life's tasks, and ends it at the one that *point* names."""

    world: World
    life: Life
    point: Point | None
    count: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.context.get(LIFE) is not self.life or task.context.get(WATCHING):
            return
        self.count += 1
        if self.point is not None and self.count == self.point.step:
            if self.point.kind is Cut.CRASH:
                self.world.kill(self.life)
            self.life.scope.cancel()


@frozen
class Report:
    """
    How a run ended.

    *steps* were taken by the first of *lives*, *seconds* (virtual) by all of them and not by the
    pauses between them; *story* is what was logged.
    """

    outcome: Outcome
    lives: int
    steps: int
    seconds: float
    story: str


class Broken(AssertionError):
    """Raised when something that must hold does not; shows what led to it."""


@define(eq=False)
class Run:
    """*script* played in a world on the disk at *root*; *seed* decides all that is random."""

    script: Script
    root: Path
    seed: int
    cuts: tuple[Point, ...] = ()
    lives: int = field(init=False, default=0)
    steps: int = field(init=False, default=0)
    seconds: float = field(init=False, default=0.0)

    def __call__(self) -> Report:
        """Play it. Raises `Broken`."""
        with structlog.testing.capture_logs() as log, clockwork(self.seed):
            clock = trio.testing.MockClock(autojump_threshold=0)
            try:
                outcome = trio.run(self._play, clock=clock)
            except (Exception, BaseExceptionGroup) as error:
                raise Broken(self._story(describe(error), log)) from error
        errors = [event for event in log if event["log_level"] in ("error", "critical")]
        if errors:
            told = "\n".join(f"    {_line(event)}" for event in errors)
            raise Broken(self._story(f"{len(errors)} errors in the log\n{told}", log))
        return Report(outcome, self.lives, self.steps, self.seconds, self._story("", log))

    async def _play(self) -> Outcome:
        async with trio.open_nursery() as nursery:
            world = World(self.root, nursery, self.script.deal)
            self.script.prepare(world)
            await nursery.start(world.desk.scheduler.run)
            nursery.start_soon(self.script.act, world)
            with trio.fail_after(PATIENCE):
                await self._lives(world)
            nursery.cancel_scope.cancel()
        return read_outcome(world)

    async def _lives(self, world: World) -> None:
        for point in (*self.cuts, None):
            life = Life(world=world)
            self.lives += 1
            with counted(Steps(world, life, point)) as steps:
                await self._live(world, life)
            self.steps = self.steps or steps.count
            if not life.scope.cancel_called:
                break
            pause = random.uniform(0, PAUSE)
            self.seconds -= pause
            await trio.sleep(pause)
        self.seconds += trio.current_time()
        check_nothing_left(world, life)

    async def _live(self, world: World, life: Life) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(life.run)
            await self._ended(world, life)
            life.drain()

    async def _ended(self, world: World, life: Life) -> None:
        """Wait until *life* was cut, or the task has been over for some time."""
        while not life.scope.cancel_called:
            await trio.sleep(_LOOK_EVERY)
            if self.script.over(world) and not any(world.tasks.glob("0x*")):
                break
        if not life.scope.cancel_called:
            await trio.sleep(AFTERMATH)

    def _story(self, problem: str, log: list[Any]) -> str:
        title = f"{self.script.name}, seed {self.seed}, {self.cuts}: {problem}"
        told = [event for event in log if event.get("part") != "blocks"]
        story = "\n".join([title, *(f"    {_line(event)}" for event in told[-_LINES:])])
        # Its name is drawn anew for every run.
        return story.replace(str(self.root), "disk")


#: Of a run's log that many last lines tell its story; that blocks come is none.
_LINES: Final = 60


def _line(event: Mapping[str, Any]) -> str:
    facts = {k: v for k, v in event.items() if k not in ("event", "log_level", "task")}
    told = " ".join(f"{key}={value}" for key, value in facts.items())
    return f"{event['log_level']:8}{event['event']}  {told}"[:300]


@contextmanager
def counted(steps: Steps) -> Iterator[Steps]:
    trio.lowlevel.add_instrument(steps)
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)
