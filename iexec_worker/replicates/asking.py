"""Asking pool and chain for as long as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.errors import Rejected, Transient, Unauthorized
from iexec_worker.supervise import describe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.stages.task import Task

    T = TypeVar("T")

#: What a question may end in without being answered: it is asked again.
UNANSWERED: Final = (Transient, Rejected, Unauthorized)

#: Seconds; a question is asked again at the next block, or after this long without one.
PATIENCE: Final = 30.0


async def patiently(task: Task, blocks: BlockWatch, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the chain or the pool until it answers: one question a block."""
    while True:
        try:
            return await ask()
        except UNANSWERED as error:
            task.node.doing = describe(error)
            await blocks.pause(PATIENCE)
