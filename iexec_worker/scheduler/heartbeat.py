"""The ping that keeps the pool from giving us up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import structlog
import trio
from attrs import define

from iexec_worker.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds between two pings, by protocol: the pool gives a worker up after 60 s of silence.
PERIOD: Final = 10.0

#: Part of the period that one ping may take: the next one goes out in time whatever happens.
PATIENCE: Final = 0.8


class CanPing(Protocol):
    """The part of the session that is needed here."""

    async def ping(self) -> str: ...

    def last_answer(self) -> str: ...


async def run(
    session: CanPing, *, period: float = PERIOD, on_ping: Callable[[str], None]
) -> NoReturn:
    """
    Ping at once and every *period* seconds without drift, for ever.

    *on_ping* gets the id in each answer; an error in it ends the heartbeat. Failed pings are
    logged and counted only: whether the pool is lost, the owner of the session decides.
    """
    beat = _Heartbeat(session, period * PATIENCE)
    due = trio.current_time()
    while True:
        answer = await beat.once()
        if answer is not None:
            on_ping(answer)
        await trio.sleep_until(due := _next(due, period))


def _next(due: float, period: float) -> float:
    """Return the time after *due*; beats missed while the process was stopped are not made up."""
    now = trio.current_time()
    return due + period if due + period > now else now + period


@define
class _Heartbeat:
    session: CanPing
    limit: float
    failures: int = 0

    async def once(self) -> str | None:
        """Ping once; None when that failed."""
        answer = None
        try:
            with trio.fail_after(self.limit):
                answer = await self.session.ping()
        except trio.TooSlowError:
            self._failed(f"no answer within {self.limit:g} s")
        except WorkerError as error:
            self._failed(str(error))
        else:
            self._answered()
        return answer

    def _answered(self) -> None:
        if self.failures:
            log.info("the pool answers pings again", missed=self.failures)
        self.failures = 0

    def _failed(self, why: str) -> None:
        self.failures += 1
        log.warning(
            "ping failed",
            in_a_row=self.failures,
            last_answer=self.session.last_answer(),
            reason=why,
        )
