"""SIGTERM drains, a second one or SIGINT stops at once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def run(
    drain: Callable[[], None],
    stop: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call *drain* at the first SIGTERM and *stop* at SIGINT or any further signal."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        draining = False
        async for number in signals:
            if draining or number == signal.SIGINT:
                log.warning("stopping at once", signal=signal.Signals(number).name)
                stop()
                return
            draining = True
            log.warning("draining: no new work; running tasks end first, SIGTERM again to stop")
            drain()
