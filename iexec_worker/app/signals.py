"""SIGTERM drains, a second one or SIGINT stops at once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from iexec_worker.membership.ending import Ending

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def run(
    ending: Ending, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Drain at the first SIGTERM, stop at SIGINT or any further signal."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGTERM and not ending.draining.is_set():
                log.warning(
                    "draining: no new work; running tasks end first, SIGTERM again to stop",
                    seconds=ending.patience,
                )
                ending.drain()
            elif not ending.stopping.is_set():
                log.warning("stopping at once", signal=signal.Signals(number).name)
                ending.stop()
