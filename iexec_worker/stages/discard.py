"""What is left of a task that is given up: its files, and its containers of an earlier life."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from attrs import frozen

from iexec_worker.engine import labels
from iexec_worker.engine.containers import CLEANUP_LIMIT
from iexec_worker.errors import WorkerError
from iexec_worker.stages.complete import clear

if TYPE_CHECKING:
    from iexec_worker.engine.containers import Containers
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Discard:
    """Removes what the engine and the disk have of a task; *wallet* marks containers as ours."""

    containers: Containers
    wallet: str

    async def __call__(self, task: Task) -> None:
        """
        Stop the app at once, then remove the files.

        A step that is cut removes its container itself; but the one that an earlier life started
        may not have been met again. The janitor removes what an engine that is away keeps.
        """
        with trio.move_on_after(CLEANUP_LIMIT) as scope:
            try:
                await self._stop(task)
            except WorkerError as error:
                log.warning("containers not removed", task=task.id, reason=str(error))
        if scope.cancelled_caught:
            log.warning("containers not removed", task=task.id, reason="engine too slow")
        await trio.to_thread.run_sync(clear, task.folder)

    async def _stop(self, task: Task) -> None:
        marks = {labels.WALLET: self.wallet, labels.TASK: task.id}
        for found in await self.containers.list_ours(marks):
            await self.containers.remove(found.id)
