"""What happens on-chain while a replicate is at a step: some steps are overtaken by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import frozen

from iexec_worker.replicates.asking import PATIENCE, UNANSWERED
from iexec_worker.replicates.table import COMPUTING
from iexec_worker.wire import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.stages.conditions import Conditions, Standing
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Overtaking:
    """
    Looks at the chain beside the steps of *task*.

    *overdue* says what a standing alone tells us to do, None while there is nothing.
    """

    task: Task
    conditions: Conditions
    overdue: Callable[[Standing], Action | None]

    async def __call__(self, step: Action) -> Action:
        """Return what is to be done instead of *step*, once there is something."""
        while True:
            await trio.sleep(PATIENCE)
            try:
                standing = await self.conditions.standing(self.task)
            except UNANSWERED as error:
                log.debug("the chain is looked at later", task=self.task.id, reason=str(error))
                continue
            found = self.overdue(standing)
            if found is not None and self._replaces(found, step):
                log.warning("overtaken by the chain", task=self.task.id, step=step, by=found)
                return found

    def _replaces(self, found: Action, step: Action) -> bool:
        """
        True for a computation or an upload that nobody needs any more, and for news that the
        pool does not take while the reveal is due: it is told later.
        """
        if found is Action.PLEASE_REVEAL:
            return step is Action.PLEASE_CONTRIBUTE and self.task.record.update is not None
        if found is Action.PLEASE_COMPLETE:
            return step is Action.PLEASE_UPLOAD
        return found is Action.PLEASE_ABORT and step in COMPUTING
