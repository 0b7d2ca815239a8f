"""Stopping an app that writes too much, and noticing that its log has lost its beginning."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import outcome
import structlog
import trio
from attrs import define, field

from iexec_worker.engine.logs import first_print
from iexec_worker.engine.usage import usage
from iexec_worker.errors import EngineRefused, WorkerError

if TYPE_CHECKING:
    from pathlib import Path

    from docker import APIClient

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.engine.usage import Usage

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

GB: Final = 1024**3

#: Seconds between two looks: many times as long as a look takes, within these.
_SOON: Final = 1.0
_LATE: Final = 30.0
_TIMES: Final = 5


@define(eq=False)
class Quota:
    """
    Watches one app that writes to *folder* and to the layer of its *container*.

    It may take *most* bytes of the disk, beside what it was *given* (a folder in *folder*). Where
    not all of the folder can be seen, the app is also stopped when less than *floor* bytes are
    left. *exceeded* says so, empty as long as it has not.
    """

    containers: Containers
    container: str
    folder: Path
    given: Path
    most: int
    floor: int
    exceeded: str = field(init=False, default="")
    _first: str = field(init=False, default="")
    _given: int = field(init=False, default=0)

    async def wait(self, limit: float) -> ContainerExit:
        """Wait for the app's end as `Containers.wait` does, and kill it when it exceeds."""
        self._given = (await _usage(self.given, sys.maxsize)).bytes
        # An outcome, because an error that leaves a nursery would leave it in a group.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            ended = await outcome.acapture(self.containers.wait, self.container, limit=limit)
            nursery.cancel_scope.cancel()
        # What it wrote since the last look.
        self.exceeded = self.exceeded or await self._folder()
        return attrs.evolve(ended.unwrap(), over_quota=self.exceeded)

    async def log_is_whole(self) -> bool:
        """False when what the app printed first is gone: its log was larger than its room."""
        first = await self._first_print()
        return not self._first or first == self._first

    async def _watch(self) -> None:
        while not self.exceeded:
            before = trio.current_time()
            try:
                self._first = self._first or await self._first_print()
                self.exceeded = await self._folder() or await self._layer()
                if self.exceeded:
                    await self.containers.stop(self.container)
            except WorkerError as error:
                log.debug("disk use unknown", container=self.container, reason=str(error))
                self.exceeded = ""
            took = trio.current_time() - before
            await trio.sleep(min(max(_SOON, took * _TIMES), _LATE))

    async def _first_print(self) -> str:
        with suppress(EngineRefused):
            return await self.containers.engine.stream(
                partial(first_print, container=self.container)
            )
        return ""

    async def _folder(self) -> str:
        most = self.most + self._given
        found = await _usage(self.folder, most)
        if found.bytes > most:
            return f"it wrote more than {self.most / GB:g} GB"
        if not found.whole and await _free(self.folder) < self.floor:
            return f"less than {self.floor / GB:g} GB are free, and its files are closed to us"
        return ""

    async def _layer(self) -> str:
        written = await self.containers.engine.stream(partial(_written, container=self.container))
        return f"it wrote more than {self.most / GB:g} GB" if written > self.most else ""


async def _usage(folder: Path, most: int) -> Usage:
    return await trio.to_thread.run_sync(usage, folder, most)


async def _free(folder: Path) -> int:
    return (await trio.to_thread.run_sync(shutil.disk_usage, folder)).free


def _written(api: APIClient, container: str) -> int:
    """Bytes in the container's own layer and its anonymous volumes, as the engine counts them."""
    rows = api.containers(all=True, size=True, filters={"id": container})
    if not rows:
        return 0
    mounts = rows[0].get("Mounts") or ()
    volumes = {mount["Name"] for mount in mounts if mount["Type"] == "volume"}
    return int(rows[0].get("SizeRw") or 0) + (_volumes(api, volumes) if volumes else 0)


def _volumes(api: APIClient, names: set[str]) -> int:
    # Engines know the size of a volume only together with all others'.
    known = api.df().get("Volumes") or ()
    return sum(int(one["UsageData"]["Size"]) for one in known if one["Name"] in names)
