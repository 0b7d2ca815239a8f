"""Room for tasks: the engine's layers and the results of strangers fill a disk quietly."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Final, NoReturn

import structlog
import trio
from attrs import define, field

from iexec_worker.errors import Fatal
from iexec_worker.supervise import every

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds between two looks.
PERIOD: Final = 10.0

#: Seconds that a look may take; a disk that is busy takes one of them.
PATIENCE: Final = 5.0

_GB = 1024**3

#: What no waiting mends.
_FOR_A_PERSON: Final = (PermissionError, NotADirectoryError, FileExistsError)


@define(eq=False)
class Disk:
    """
    Looks whether *folder* can be written and has *floor* bytes free around it.

    *trouble* is the last finding, empty when it is fit for work.
    """

    folder: Path
    floor: int
    node: Node
    trouble: str = "not looked at yet"
    #: One at a time: a disk that does not answer keeps one thread, and not all of them.
    _one: trio.CapacityLimiter = field(init=False, factory=lambda: trio.CapacityLimiter(1))
    _turn: trio.Lock = field(init=False, factory=trio.Lock)
    #: So many looks have ended.
    _looks: int = field(init=False, default=0)

    async def require(self) -> None:
        """Raise `Fatal` when only a person can make the folder usable; other trouble may pass."""
        try:
            await trio.to_thread.run_sync(self._write)
        except _FOR_A_PERSON as error:
            raise Fatal(self._closed(error)) from error
        except OSError as error:
            log.warning("tasks have no room", reason=self._closed(error))

    async def run(self, *, task_status: trio.TaskStatus[None]) -> NoReturn:
        """Look for ever."""
        task_status.started()
        async for _ in every(PERIOD):
            await self.look()
        raise AssertionError("every() never ends")

    async def look(self) -> str:
        """
        Look now and return *trouble*; a disk that does not answer is trouble, too.

        All who ask while somebody looks share the next look: on a slow disk a queue of them would
        take longer than `PATIENCE`.
        """
        # One that is under way may have begun before what the caller wants to know of.
        wanted = self._looks + (2 if self._turn.locked() else 1)
        async with self._turn:
            if self._looks < wanted:
                await self._look()
                self._looks += 1
        return self.trouble

    async def _look(self) -> None:
        before, found = self.trouble, f"the disk of {self.folder} does not answer"
        with trio.move_on_after(PATIENCE):
            found = await trio.to_thread.run_sync(
                self._find, abandon_on_cancel=True, limiter=self._one
            )
        self.trouble = found
        self.node.doing = found or f"{self.folder} can be written"
        if found and found != before:
            log.warning("no room for tasks", reason=found)

    def _find(self) -> str:
        try:
            self._write()
        except OSError as error:
            return self._closed(error)
        free = shutil.disk_usage(self.folder).free
        if free >= self.floor:
            return ""
        return (
            f"the disk of {self.folder} has {free / _GB:.1f} GB free, work is taken from "
            f"{self.floor / _GB:g} GB on (IEXEC_WORKER_MIN_FREE_DISK_GB): make room"
        )

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # It has no name, so that nothing is left whatever happens.
        with tempfile.TemporaryFile(dir=self.folder) as file:
            file.write(b"fit for work")
            file.flush()

    def _closed(self, error: OSError) -> str:
        return (
            f"{self.folder} cannot be written: {error.strerror}; make it this user's, or set "
            "IEXEC_WORKER_BASE_DIR to a folder that is"
        )
