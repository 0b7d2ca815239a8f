"""A worker's post: whoever was there last, its successor goes on from what was left."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.devpool.worker_process import WorkerProcess, worker_process
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iexec_worker.devpool.chaos.proxy import Proxy
    from iexec_worker.devpool.wallets import Wallet

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds after which systemd starts a service again, unless told otherwise.
_PAUSE: Final = 0.1

#: Seconds until a worker whose tasks have ended has told all, and is gone.
_LEAVE: Final = 60.0


@define(eq=False)
class Life:
    """
    One process of a worker. *ordered*: what ended it on purpose, "" if it ended by itself.

    *status* is its exit status, None while it runs; times are seconds since the epoch.
    """

    log: Path
    began: float = field(factory=time.time)
    session: int = 0
    ordered: str = ""
    ended: float = 0.0
    status: int | None = None
    over: trio.Event = field(factory=trio.Event, repr=False)


@define(eq=False)
class Post:
    """
    Keeps one worker running, whose wallet and folders stay the same from life to life.

    *lines* are its ways to the others. *turn* and *disk_turn*
    are held by whoever ends its process or fills its disk.
    """

    name: str
    folder: Path
    wallet: Wallet
    environment: Mapping[str, str]
    inherited: Mapping[str, str]
    lines: Sequence[Proxy]
    turn: trio.Lock = field(factory=trio.Lock)
    disk_turn: trio.Lock = field(factory=trio.Lock)
    lives: list[Life] = field(factory=list, init=False)
    _present: WorkerProcess | None = field(default=None, init=False)
    _up: trio.Event = field(factory=trio.Event, init=False)
    _telling: trio.Lock = field(factory=trio.Lock, init=False)
    _leaving: trio.Event = field(factory=trio.Event, init=False)

    @property
    def base(self) -> Path:
        """Its disk."""
        return self.folder / "base"

    @property
    def tasks(self) -> Path:
        """The folders of its tasks."""
        return self.base / self.name

    async def run(self) -> None:
        """Have a worker there until `leave`."""
        while not self._leaving.is_set():
            life = Life(self.folder / f"life-{len(self.lives) + 1}" / f"{self.name}.log")
            self.lives.append(life)
            try:
                await self._live(life)
            except Fatal as error:
                log.warning("worker not started", worker=self.name, reason=str(error))
            life.ended = time.time()
            life.over.set()
            await trio.sleep(_PAUSE)

    async def _live(self, life: Life) -> None:
        async with worker_process(
            life.log.parent,
            self.name,
            self.environment,
            inherited=self.inherited,
            command="interruptible",
        ) as worker:
            process = worker.child.process
            life.session = process.pid
            self._present = worker
            self._up.set()
            try:
                life.status = await process.wait()
            finally:
                self._up, self._present = trio.Event(), None

    async def worker(self) -> WorkerProcess:
        """The worker that is there, at the latest when the next one serves."""
        while self._present is None:
            await self._up.wait()
        return self._present

    async def end(self, number: signal.Signals) -> None:
        """End the present life by a signal, on purpose; returns when it is over."""
        worker, life = await self.worker(), self.lives[-1]
        life.ordered = number.name
        worker.child.process.send_signal(number)
        await life.over.wait()

    async def interrupt(self, pick: float) -> None:
        """Have the worker cancel a part of its tree; *pick*, in [0, 1), chooses which."""
        worker = await self.worker()
        stdin = worker.child.process.stdin
        assert stdin is not None, "a worker that can be told something"
        try:
            async with self._telling:
                await stdin.send_all(f"interrupt {pick}\n".encode())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.info("ended before it could be interrupted", worker=self.name)

    async def leave(self) -> bool:
        """Drain the worker, for good; False when it had to be killed because it did not end."""
        await self.worker()
        self._leaving.set()
        with trio.move_on_after(_LEAVE):
            await self.end(signal.SIGTERM)
            return True
        await self.end(signal.SIGKILL)
        return False
