"""Asking an SMS for as long as it may only be restarting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import structlog
import trio

from iexec_worker.errors import Unavailable
from iexec_worker.supervise import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds. The pool waits for us meanwhile, and can give the task to another worker afterwards:
#: longer than a service is away when it is started anew, shorter than the shortest category.
PATIENCE: Final = 30.0

BACKOFF: Final = Backoff(first=0.5, limit=10.0)


async def patiently(ask: Callable[[], Awaitable[T]], limit: float = PATIENCE) -> T:
    """Return what *ask* does, again while its service is away; after *limit* s it is."""
    deadline = trio.current_time() + limit
    tries = 0
    while True:
        try:
            return await ask()
        except Unavailable as error:
            tries += 1
            wait = BACKOFF.delay(tries)
            if trio.current_time() + wait > deadline:
                raise
            log.warning("no answer, asking again", wait=round(wait, 1), reason=str(error))
            await trio.sleep(wait)
