"""Running an attacker's app, and what became of it."""

from __future__ import annotations

import io
import subprocess
import tarfile
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import docker
import trio
from attrs import field, frozen

from iexec_worker.devpool.images import _busybox
from iexec_worker.engine.spec import ContainerSpec
from tests.confined import sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.sandbox import Sandbox
    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.model import ComputeLogs

IMAGE: Final = "iexec-worker-tests/attacker:1"

#: The same, run by another user than root.
NOBODYS: Final = "iexec-worker-tests/attacker:nobody"

#: A user whom nothing belongs to.
NOBODY: Final = 65_534


@frozen
class App:
    """An image with a busybox, one of them setuid root, and a volume of its own at /volume."""

    image: str
    nobodys: str


@frozen
class Outcome:
    """How an attack ended."""

    end: ContainerExit
    logs: ComputeLogs
    log_is_whole: bool

    @property
    def said(self) -> list[str]:
        """The lines of both streams."""
        return (self.logs.stdout + self.logs.stderr).splitlines()


@frozen
class Arena:
    """Runs apps as a worker does, with input and output folders in *folder*."""

    engine: Engine
    containers: Containers
    app: App
    folder: Path
    started: list[str] = field(factory=list)

    def sandbox(self, slots: int = 1, /, **variables: str) -> Sandbox:
        """What confines them; *variables* without their prefix."""
        return sandbox(self.engine, slots, **variables)

    @asynccontextmanager
    async def running(self, box: Sandbox, script: str, image: str = "") -> AsyncIterator[str]:
        """Start a shell with *script*, confined by *box*, for the time of the block."""
        name = f"tests-{uuid.uuid4().hex}"
        spec = ContainerSpec(
            name=name,
            image=image or self.app.image,
            command=("sh", "-c", script),
            binds=self._binds(name),
        )
        async with self.containers.held(name):
            yield await box.start(self.containers, spec)

    async def attack(
        self, box: Sandbox, script: str, *, limit: float = 60, image: str = ""
    ) -> Outcome:
        """Run *script* to its end, at most *limit* seconds."""
        async with self.running(box, script, image) as container:
            return await self.over(box, container, limit=limit)

    async def over(self, box: Sandbox, container: str, *, limit: float = 60) -> Outcome:
        """Wait for the end of a container of ours."""
        found = await self.containers.find(container)
        assert found is not None
        root = self.folder / found.name
        quota = box.quota(self.containers, container, root, root / "input")
        with trio.fail_after(limit + 30):
            end = await quota.wait(limit)
            logs = await self.containers.logs(container)
            return Outcome(end, logs, await quota.log_is_whole())

    def _binds(self, name: str) -> Mapping[str, str]:
        folders = {"input": "/iexec_in", "output": "/iexec_out"}
        for one in folders:
            (self.folder / name / one).mkdir(parents=True)
        return {str(self.folder / name / one): place for one, place in folders.items()}


async def build(engine_url: str) -> App:
    """Make the image."""

    def make() -> None:
        client = docker.APIClient(base_url=engine_url, timeout=120)
        try:
            for image, more in ((IMAGE, []), (NOBODYS, [f"USER {NOBODY}"])):
                name, _, tag = image.partition(":")
                changes = ["ENV PATH=/bin", "VOLUME /volume", *more]
                client.import_image_from_data(_layer(), repository=name, tag=tag, changes=changes)
        finally:
            client.close()

    await trio.to_thread.run_sync(make)
    return App(IMAGE, NOBODYS)


def _applets() -> list[str]:
    done = subprocess.run(("busybox", "--list"), capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split() if name != "busybox"]


def _layer() -> bytes:
    busybox = _busybox()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, mode in (("bin/busybox", 0o755), ("suid/busybox", 0o4755)):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(busybox)
            tar.addfile(entry, io.BytesIO(busybox))
        for applet in _applets():
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for folder in ("tmp", "volume", "iexec_in", "iexec_out"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
    return packed.getvalue()
