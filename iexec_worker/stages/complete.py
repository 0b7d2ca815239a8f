"""PLEASE_COMPLETE: the pool is done with the task, so its data goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from iexec_worker.files import remove
from iexec_worker.stages.task import Details

if TYPE_CHECKING:
    from iexec_worker.stages.task import Folder, Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


async def complete(task: Task) -> Details:
    """Remove inputs and outputs; the journal goes with the replicate, after COMPLETED was told."""
    task.node.doing = "removing the task's files"
    await trio.to_thread.run_sync(clear, task.folder)
    return Details()


def clear(folder: Folder) -> None:
    """Remove what the app read and wrote. Blocks; missing folders are fine."""
    for path in (folder.input, folder.output):
        remove(path)
        if path.exists():
            log.warning("files of a task could not be removed", folder=str(path))
