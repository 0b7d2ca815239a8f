"""Results on their way to the pool: while there is one, the pool is not asked what it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field

from iexec_worker.wire import Action

if TYPE_CHECKING:
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.stages.task import Task

#: Seconds. An upload that takes longer must not keep the other tasks from what the pool wants.
PATIENCE: Final = 60.0


@define(eq=False)
class Uploads:
    """
    Which of the tasks that are alive are at their upload; their records say so.

    A pool that is asked what it wants just then finds the result, notes it without our link and
    finalises the task without one.
    """

    blocks: BlockWatch
    _tasks: set[Task] = field(init=False, factory=set)

    def enter(self, task: Task) -> None:
        """Count *task* from now on."""
        self._tasks.add(task)

    def leave(self, task: Task) -> None:
        """Count *task* no longer."""
        self._tasks.discard(task)

    async def ended(self, *, but: Task | None = None) -> None:
        """Wait, `PATIENCE` at most, until no result is on its way; that of *but* may be."""
        with trio.move_on_after(PATIENCE):
            while self._under_way(but):
                await self.blocks.next()

    def _under_way(self, but: Task | None) -> bool:
        uploading = (task for task in self._tasks if task.record.action is Action.PLEASE_UPLOAD)
        return any(task is not but for task in uploading)
