"""An engine of our own that may be frozen, and killed to come back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from iexec_worker.devpool.chaos.returning import Returning
from iexec_worker.devpool.engine import START, STOP, answers, clear, prepared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@frozen
class Dockerd:
    """*host* is the same over all its lives. *turn* is held by whoever does it harm."""

    host: str
    daemon: Returning
    turn: trio.Lock

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return Path(self.host.removeprefix("unix://"))


@asynccontextmanager
async def returning_engine(folder: Path, *, live_restore: bool) -> AsyncIterator[Dockerd]:
    """
    Run an engine for the time of the scope; root only.

    With *live_restore* its containers outlive it when it is restarted; without, they end.
    """
    options = ("--live-restore",) if live_restore else ()
    async with prepared(folder, options=options) as ready, trio.open_nursery() as nursery:
        probe = partial(answers, ready.host)
        daemon = Returning("dockerd", ready.command, folder, probe, START, grace=STOP)
        await nursery.start(daemon.run)
        try:
            yield Dockerd(ready.host, daemon, trio.Lock())
        finally:
            await clear(ready.host)
            nursery.cancel_scope.cancel()
