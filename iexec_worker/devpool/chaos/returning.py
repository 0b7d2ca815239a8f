"""A server that is started again whenever it ends, as an init system would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from attrs import define, field

from iexec_worker.devpool.child import Child, child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path


@define(eq=False)
class Returning:
    """
    Runs *command* again and again; it serves when *probe* says so, within *limit* seconds.

    Each life logs into a file of its own in *folder*; before it begins, *tidy* removes what the
    one before has left in its way.
    """

    name: str
    command: Sequence[str]
    folder: Path
    probe: Callable[[], Awaitable[bool]]
    limit: float
    grace: float = 5.0
    tidy: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    lives: int = field(default=0, init=False)
    _present: Child = field(init=False)
    _serving: trio.Event = field(factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run it until cancelled; started when it serves. Raises Fatal when it does not return."""
        while True:
            await self.tidy()
            self.lives += 1
            log = self.folder / f"{self.name}-{self.lives}.log"
            async with child(self.command, name=self.name, log=log, grace=self.grace) as process:
                await process.serving(self.probe, limit=self.limit)
                self._present = process
                self._serving.set()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                await process.process.wait()
                self._serving = trio.Event()

    @property
    def process(self) -> trio.Process:
        """The present life, or the one that ended last."""
        return self._present.process

    async def restart(self, signal: int) -> None:
        """Send *signal*, which has to end it; returns when it serves again."""
        await self._serving.wait()
        process = self.process
        process.send_signal(signal)
        await process.wait()
        while self.process is process:
            await trio.lowlevel.checkpoint()
            await self._serving.wait()
