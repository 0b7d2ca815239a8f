"""
Telling the pool one status until it has heard it.

Not stamina's job: it measures time.monotonic, so that neither Trio's clock nor a deadline ends
an attempt under way, and knows nothing of a gate to wait at between attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import structlog
import trio

from iexec_worker.errors import Unauthorized, Unavailable, WorkerError
from iexec_worker.scheduler.causes import in_other_words
from iexec_worker.scheduler.exchange import Refused
from iexec_worker.supervise import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.model import StatusUpdate
    from iexec_worker.scheduler.api import Answer
    from iexec_worker.scheduler.gate import Gate

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Between two tries: soon after a hiccup, gently on a pool that is down for an hour.
REPORT_BACKOFF: Final = Backoff(first=0.5, limit=20.0)

_BAD_REQUEST: Final = 400


@attrs.define(eq=False)
class Report:
    """
    One status on its way to the pool. *problem*: what came of the last try.

    *send* is one try, *last_answer* says when the pool last answered anything.
    """

    task_id: str
    update: StatusUpdate
    send: Callable[[str, StatusUpdate], Awaitable[Answer]]
    gate: Gate
    backoff: Backoff
    last_answer: Callable[[], str]
    attempts: int = 0
    problem: str = ""

    async def deliver(self) -> Answer:
        """Return the pool's answer; whoever calls sets the deadline. Raises `Rejected`."""
        while True:
            await self.gate.wait_open()
            self.attempts += 1
            try:
                return await self.send(self.task_id, self.update)
            except Refused as error:
                self._use_other_cause(error)
            except (Unavailable, Unauthorized) as error:
                await self._pause(error)

    def _use_other_cause(self, error: Refused) -> None:
        """Go on with a cause that this pool may know; raises *error* when that is no remedy."""
        cause = self.update.cause
        other = None if cause is None else in_other_words(cause)
        if error.status != _BAD_REQUEST or other is None:
            raise error
        log.warning("the pool does not know this cause", **self._facts(), tells=other.value)
        self.update = attrs.evolve(self.update, cause=other)

    async def _pause(self, error: WorkerError) -> None:
        self.problem = str(error)
        wait = self.backoff.delay(self.attempts)
        log.warning(
            "update not told, trying again",
            **self._facts(),
            attempt=self.attempts,
            wait=round(wait, 1),
            last_answer=self.last_answer(),
            reason=self.problem,
        )
        await trio.sleep(wait)

    def _facts(self) -> dict[str, object]:
        cause = self.update.cause
        facts: dict[str, object] = {"task": self.task_id, "status": self.update.status.value}
        return facts if cause is None else facts | {"cause": cause.value}
