"""Reading what the chain says of a task, once; and what to make of a task that it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from iexec_worker.chain.node.rpc import NodeRefused
from iexec_worker.errors import Rejected, Unavailable
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.chain.hub import Hub
    from iexec_worker.stages.task import Record, Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def describe(
    task: Task, hub: Hub, now: Callable[[], float], *, disowned: bool
) -> Cause | None:
    """
    Set the description of *task*; returns the cause to give it back when there is none.

    Raises `Unavailable` while a node that is behind may be why: a task with our stake in it is
    given up no sooner than the chain itself would, and one whose journal is lost not before the
    pool has *disowned* it, too.
    """
    at_stake = _has_stake(task.record) or (task.record.lost and not disowned)
    if task.known:
        return None
    task.node.doing = "reading the task from the chain"
    try:
        description = await hub.describe(task.id)
    except Rejected as error:
        if isinstance(error, NodeRefused) or at_stake:
            raise
        log.warning("offered a task that cannot be read", task=task.id, reason=str(error))
        return Cause.TASK_DESCRIPTION_INVALID
    if description is not None:
        task.describe_as(description)
        task.record.final_deadline = description.final_deadline
        return None
    if at_stake:
        _give_up_in_time(task, now())
    log.warning("dropping a task that is not on-chain", task=task.id)
    return Cause.TASK_DESCRIPTION_NOT_FOUND


def _give_up_in_time(task: Task, now: float) -> None:
    left = task.record.final_deadline - now
    if left > 0 or not task.record.final_deadline:
        until = f"for {left / 60:.0f} min more" if left > 0 else "until the pool disowns it"
        raise Unavailable(
            f"the node does not know {task.id}, which may have our stake: it is behind, or of "
            f"another chain than before; the task is kept {until}"
        )
    log.error(
        "a final deadline has passed on a chain that does not know the task",
        task=task.id,
        transactions=task.record.transactions,
        next_step="see whether the node is of the chain that the pool works on",
    )


def _has_stake(record: Record) -> bool:
    return bool(record.transactions or Status.CONTRIBUTED in record.told)
