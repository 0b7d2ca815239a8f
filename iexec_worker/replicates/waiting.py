"""A replicate between two steps: the pool has the word, and the chain when the pool is silent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.replicates.asking import PATIENCE, UNANSWERED, patiently
from iexec_worker.replicates.steps import WAITING
from iexec_worker.replicates.table import caught_up
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.model import Notification
    from iexec_worker.replicates.surroundings import Surroundings
    from iexec_worker.stages.conditions import Standing
    from iexec_worker.stages.task import Task
    from iexec_worker.wire import Action

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A replicate that waits looks at the chain; every so many times it asks the pool, too.
LOOKS_PER_QUESTION: Final = 2


@frozen
class Waiting:
    """
    Waits for the next action of *task*, which *heard* returns.

    *overdue* says what a standing alone tells us to do, None while there is nothing; *deliver*
    takes what the pool answers.
    """

    task: Task
    around: Surroundings
    heard: Callable[[], Awaitable[Action]]
    overdue: Callable[[Standing], Action | None]
    deliver: Callable[[Notification], None]

    async def __call__(self) -> Action:
        """Wait for the pool; look at the chain from time to time, in case a message was lost."""
        look = partial(self.around.conditions.standing, self.task)
        looks = 0
        while True:
            self.task.node.doing = self._what_for()
            with trio.move_on_after(PATIENCE):
                return caught_up(await self.heard(), self.task)
            looks += 1
            found = self.overdue(await patiently(self.task, self.around.blocks, look))
            if found is not None:
                log.warning("no word from the pool, acting on the chain's", action=found)
                return found
            if looks % LOOKS_PER_QUESTION == 0:
                await self._ask()

    async def _ask(self) -> None:
        """Ask for what the chain cannot show: steps before a contribution, and the upload."""
        told = self.task.record.told
        if Status.CONTRIBUTED in told and Status.REVEALED not in told:
            return
        try:
            wish = await self.around.credibility.wish(self.task)
        except UNANSWERED as error:
            log.debug("the pool is asked later", task=self.task.id, reason=str(error))
            return
        if wish is not None and wish.action not in WAITING:
            self.deliver(wish)

    def _what_for(self) -> str:
        told = self.task.record.told
        if Status.RESULT_UPLOADED in told:
            return "waiting for the pool to finalise"
        if Status.CONTRIBUTE_AND_FINALIZE_DONE in told:
            return "finalised: waiting for the pool to see it"
        if Status.REVEALED in told:
            return "waiting: the pool finalises, or asks for the result"
        if Status.CONTRIBUTED in told:
            left = (self.task.description.final_deadline - self.around.now()) / 60
            return f"waiting for consensus, final deadline in {left:.0f} min"
        return "waiting for the pool's next word"
