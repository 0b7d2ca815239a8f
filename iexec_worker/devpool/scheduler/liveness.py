"""Workers that stopped pinging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio

from iexec_worker.wire import Status

if TYPE_CHECKING:
    from iexec_worker.devpool.scheduler.memory import Memory
    from iexec_worker.devpool.scheduler.state import Store

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_NOT_LOST: Final = frozenset({Status.WORKER_LOST, Status.COMPLETED, Status.FAILED})


def declare_lost(store: Store, memory: Memory) -> None:
    """
    Note WORKER_LOST, once, on all replicates of silent workers.

    Nothing else follows from it: slots stay taken and nobody is told.
    """
    for wallet in memory.lost():
        for task in store.tasks.values():
            replicate = task.replicates.get(wallet)
            if replicate is None or task.over:
                continue
            if replicate.current not in _NOT_LOST and not replicate.ever(Status.WORKER_LOST):
                log.info("worker lost", task=task.chain_task_id, wallet=wallet)
                replicate.add(Status.WORKER_LOST, by_worker=False)
    store.changes.ring()


async def watch(period: float, store: Store, memory: Memory) -> None:
    """Look for lost workers until cancelled."""
    while True:
        await trio.sleep(period)
        declare_lost(store, memory)
