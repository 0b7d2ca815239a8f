"""`IEXEC_DEVELOPER_LOGGER_ENABLED`: what an app saw, left and printed, for its developer."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from attrs import frozen

from iexec_worker.tee.model import Part

if TYPE_CHECKING:
    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.model import ComputeLogs
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: More would bury the rest of the log.
MAX_ENTRIES: Final = 200


@frozen
class DeveloperLog:
    """Prints each run when *enabled*."""

    enabled: bool

    def __call__(
        self, task: Task, ended: ContainerExit, logs: ComputeLogs, part: Part = Part.APP
    ) -> None:
        if self.enabled:
            log.info(
                "app has run" if part is Part.APP else "service of a trusted task has run",
                task=task.id,
                part=part.value,
                exit_code=ended.exit_code,
                input=tree(task.folder.input),
                output=tree(task.folder.iexec_out),
                stdout=logs.stdout,
                stderr=logs.stderr,
            )


def tree(folder: Path) -> str:
    """
    Return the names below *folder*, a line each, without following links.

    Never fails: an app may leave folders that nobody can list, or no recursion would end.
    """
    found: list[str] = []
    folders = deque([folder])
    while folders and len(found) < MAX_ENTRIES:
        with suppress(OSError), os.scandir(folders.popleft()) as entries:
            for entry in islice(entries, MAX_ENTRIES - len(found)):
                found.append(str(Path(entry.path).relative_to(folder)))
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
    return "\n".join(sorted(found))
