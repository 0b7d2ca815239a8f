"""An engine of our own that may be frozen, and killed to come back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio
from attrs import field, frozen

from iexec_worker.devpool.chaos.returning import Returning
from iexec_worker.devpool.engine import START, STOP, answers, clear, prepared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.chaos.proxy import Target

#: Seconds that a killed process may take to be gone, and between two looks.
_DEATH: Final = 10.0
_LOOK_EVERY: Final = 0.05


@frozen
class Dockerd:
    """
    *host* is the same over all its lives. *turn* is held by whoever does it harm.

    *daemon* is None for an engine that is not ours, which must not be harmed.
    """

    host: str
    daemon: Returning | None
    turn: trio.Lock = field(factory=trio.Lock)

    @property
    def target(self) -> Target:
        """Where it listens, as proxies want it."""
        place = urlsplit(self.host)
        if place.scheme == "unix":
            return Path(place.path)
        return place.hostname or "", place.port or 0


@asynccontextmanager
async def returning_engine(folder: Path, *, live_restore: bool) -> AsyncIterator[Dockerd]:
    """
    Run an engine for the time of the scope; root only.

    With *live_restore* its containers outlive it when it is restarted; without, they end.
    """
    options = ("--live-restore",) if live_restore else ()
    async with prepared(folder, options=options) as ready, trio.open_nursery() as nursery:
        probe = partial(answers, ready.host)
        run = Path(ready.host.removeprefix("unix://")).parent
        daemon = Returning(
            "dockerd", ready.command, folder, probe, START, STOP, partial(_bury_containerd, run)
        )
        await nursery.start(daemon.run)
        try:
            yield Dockerd(ready.host, daemon)
        finally:
            await clear(ready.host)
            nursery.cancel_scope.cancel()


async def _bury_containerd(run: Path) -> None:
    """
    Wait until the containerd of a killed engine is dead, and have nobody take it for alive.

    It dies with its engine. Where the first process of a container reaps no orphans its pid stays
    taken, and the next engine would wait for what is behind it.
    """
    file = run / "exec" / "containerd" / "containerd.pid"
    if not file.exists():
        return
    status = Path("/proc") / file.read_text().strip() / "status"
    with trio.move_on_after(_DEATH):
        while status.exists() and "\nState:\tZ" not in status.read_text():  # noqa: ASYNC110  # nobody's child any more
            await trio.sleep(_LOOK_EVERY)
    file.unlink()
