"""Having a contribution mined: refused although all holds, it is tried again some blocks later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from iexec_worker.errors import Reverted, StageFailed
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.chain.calls import Kind
    from iexec_worker.model import ChainReceipt
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Looks, a block apart, at a call that is refused although all conditions hold: the node that was
#: asked may be some blocks behind the one that the pool, or we, asked before.
LOOKS: Final = 6


@frozen
class Attempt:
    """
    One transaction of a task, of its *kind*.

    *send* makes and sends it. *is_done* says whether the chain shows its effect; *check* raises
    `StageFailed` with the condition that does not hold.
    """

    kind: Kind
    send: Callable[[], Awaitable[ChainReceipt]]
    is_done: Callable[[], Awaitable[bool]]
    check: Callable[[], Awaitable[object]]


async def insist(task: Task, sending: Sending, attempt: Attempt) -> ChainReceipt:
    """
    Return where the transaction was mined, by us or by an earlier life.

    Raises `StageFailed` when a condition does not hold, or nothing says why it is refused.
    """
    for left in reversed(range(LOOKS)):
        try:
            return await attempt.send()
        except Reverted as error:
            if await attempt.is_done():
                break
            await attempt.check()
            if not left:
                raise StageFailed(Cause.CHAIN_RECEIPT_NOT_VALID, str(error)) from error
            log.warning(
                "refused by the hub, trying again",
                task=task.id,
                call=attempt.kind.value,
                reason=str(error),
            )
        await sending.blocks.pause()
    return await sending.receipt(task, attempt.kind)
