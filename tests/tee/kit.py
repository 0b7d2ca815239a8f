"""What frameworks work with, as far as tests need it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from iexec_worker.config import load
from iexec_worker.errors import Rejected, WorkerError
from iexec_worker.tee.model import TeeSession
from tests.samples import description

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iexec_worker.config import Tee
    from iexec_worker.model import TaskDescription, TeeFramework

SESSION = TeeSession("abc0000", "cas.example:4321")

ENCLAVE: dict[str, Any] = {
    "framework": "SCONE",
    "version": "v5",
    "entrypoint": "node /app/app.js",
    "heapSize": 7_000,
    "fingerprint": 64 * "f",
}


def tee(**variables: str) -> Tee:
    """Make the section from variables without `IEXEC_`."""
    given = {f"IEXEC_{name}": text for name, text in variables.items()}
    return load({"POOL_ADDRESS": "0x" + 40 * "a", **given}, cpu_count=1).config.tee


def task(framework: TeeFramework, **enclave: object) -> TaskDescription:
    """Return a task whose app has this enclave."""
    configuration = json.dumps({**ENCLAVE, "framework": framework.name, **enclave})
    return description(tag=f"0x{framework.value:064x}", app_enclave=configuration)


@define
class Course:
    """What happened, in order; tells who shows something and opens a session."""

    steps: list[str] = field(factory=list)
    trouble: WorkerError | None = None

    def show(self, text: str) -> None:
        self.steps.append(text)

    async def open_session(self) -> TeeSession:
        await trio.lowlevel.checkpoint()
        self.steps.append("session")
        if self.trouble:
            raise self.trouble
        return SESSION


@define
class Shelf:
    """Images that can be had, but *missing* ones, in the place of `TeeImages`."""

    course: Course
    missing: tuple[str, ...] = ()
    error: Callable[[str], WorkerError] = Rejected
    pull_min: float = 60
    pull_max: float = 600

    async def have(self, image: str, time_reference: float, show: object) -> None:
        await trio.lowlevel.checkpoint()
        self.course.steps.append(f"image {image}")
        if image in self.missing:
            raise self.error(f"no {image}")


@define
class Host:
    """Has two devices, in the place of `SgxHost`."""

    async def devices(self) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        return ("/host/one:/dev/one", "/host/two:/dev/two")

    async def aesm_socket(self) -> Mapping[str, str]:
        await trio.lowlevel.checkpoint()
        return {"/host/aesm.socket": "/var/run/aesmd/aesm.socket"}


@define
class Las:
    """Runs as `las-of-<image>`, in the place of `LasServices`."""

    course: Course
    trouble: WorkerError | None = None
    closed: bool = False
    limits: list[float] = field(factory=list)

    async def running(self, image: str, *, limit: float, show: object) -> str:
        await trio.lowlevel.checkpoint()
        self.course.steps.append(f"las {image}")
        self.limits.append(limit)
        if self.trouble:
            raise self.trouble
        return f"las-of-{image.rpartition('/')[2]}"

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.closed = True
