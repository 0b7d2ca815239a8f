"""Apps that write what they please, in containers, and what the worker makes of it."""

from __future__ import annotations

import zipfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pytest
import trio
from attrs import define, field

from iexec_worker.devpool import images
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import StageFailed
from iexec_worker.results.tree import Limits
from iexec_worker.stages.post_compute import PostCompute
from iexec_worker.stages.task import Folder, Record, Task
from iexec_worker.telemetry.tree import Node
from tests import samples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.engine.containers import Containers
    from iexec_worker.wire import Cause

IMAGE: Final = "iexec-worker-tests/stranger:1"
CANARY: Final = b"canary: nobody may read this"

#: Seconds that an app takes at most; a hundred thousand files are some work.
LIMIT: Final = 100

_POINTS_AT: Final = (
    """printf '{"deterministic-output-path": "%s"}' '{path}' > /iexec_out/computed.json"""
)


async def build(engine_url: str) -> str:
    """Make the image of all strangers: a shell, and a busybox with everything."""
    await images.build(engine_url, IMAGE, Recipe(entrypoint=("/bin/sh", "-c")))
    return IMAGE


@define(eq=False)
class Stranger:
    """
    Runs scripts as apps of one task in *root*. *canary* is a file of the host's.

    A script finds `$CANARY`, its path on the host, and `b`, the busybox.
    """

    containers: Containers
    root: Path
    limits: Limits = field(factory=Limits)
    task: Task = field(init=False)
    canary: Path = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.canary = self.root / "canary"
        self.canary.write_bytes(CANARY)
        record = Record(samples.authorization())
        folder = Folder(self.root / samples.TASK)
        self.task = Task(record, folder, Node(samples.TASK), trio.lowlevel.checkpoint)
        self.task.describe_as(samples.description())
        folder.input.mkdir(parents=True)
        folder.iexec_out.mkdir(parents=True)

    async def runs(self, script: str, *, path: str = "") -> None:
        """Run *script* to its end; with *path* it names that as its result."""
        async with self.running(script + "\n" + said(path)) as container:
            ended = await self.containers.wait(container, limit=LIMIT)
            logs = await self.containers.logs(container)
        assert not ended.timed_out
        assert ended.exit_code == 0, logs.stderr

    @asynccontextmanager
    async def running(self, script: str) -> AsyncIterator[str]:
        """Hold a container that runs *script*."""
        spec = ContainerSpec(
            name=f"tests-{uuid4().hex}",
            image=IMAGE,
            command=(f"b=/bin/busybox; cd /iexec_out; {script}",),
            env={"CANARY": str(self.canary)},
            binds={str(self.task.folder.iexec_out): "/iexec_out"},
            network="none",
        )
        async with self.containers.running(spec) as container:
            yield container

    async def result(self) -> dict[str, bytes]:
        """What the worker makes of it: the files in the archive. Raises `StageFailed`."""
        await PostCompute(self.limits)(self.task)
        with zipfile.ZipFile(self.task.folder.archive) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    async def cause(self) -> Cause:
        """Why there is no result. The archive, if there is one, has nothing of the canary."""
        with pytest.raises(StageFailed) as failed:
            await PostCompute(self.limits)(self.task)
        assert not self.leaked()
        assert str(failed.value).isprintable()
        return failed.value.cause

    @property
    def digest(self) -> str:
        """The digest of the result."""
        assert self.task.record.computed is not None
        return self.task.record.computed.result_digest

    def leaked(self) -> bool:
        """True when the canary was changed, or is in anything that the worker made."""
        made = [path for path in self.task.folder.output.iterdir() if path.is_file()]
        return self.canary.read_bytes() != CANARY or any(map(_holds_the_canary, made))


def said(path: str) -> str:
    """A script that says where the result is."""
    return _POINTS_AT.replace("{path}", path) if path else ":"


def _holds_the_canary(path: Path) -> bool:
    if path.suffix != ".zip":
        return CANARY in path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return any(CANARY in archive.read(name) for name in archive.namelist())
