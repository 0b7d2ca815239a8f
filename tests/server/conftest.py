from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio

from iexec_worker.chain import commitments
from iexec_worker.chain.wallet import Wallet
from iexec_worker.engine.networks.subnet import Subnet
from iexec_worker.model import Authorization
from iexec_worker.secret import Secret
from iexec_worker.server.app import make_app
from iexec_worker.server.serve import run
from iexec_worker.server.view import View
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.redaction import Redactor
from iexec_worker.telemetry.tree import Node, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from iexec_worker.model import ComputedFile
    from iexec_worker.server.view import ReportsPort
    from iexec_worker.tee.model import Part
    from iexec_worker.wire import Cause

#: Of a trusted task that runs here, and of another one.
TASK, OTHER = "0x" + 64 * "a", "0x" + 64 * "b"
WALLET = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
ENCLAVE, STRANGER = Wallet.from_key(64 * "1"), Wallet.from_key(64 * "2")


def signed(task: str = TASK, worker: str = WALLET, by: Wallet = ENCLAVE) -> dict[str, str]:
    """The header with which the enclave of *task* calls."""
    return {"Authorization": by.sign_prefixed(commitments.callback_hash(task, worker))}


@attrs.define
class Reports:
    """One task that hears its enclaves; the order of what it was told is kept."""

    authorization: Authorization
    active: bool = True
    told: list[tuple[Part, tuple[Cause, ...]]] = attrs.field(factory=list)
    files: list[ComputedFile] = attrs.field(factory=list)

    async def exit(self, part: Part, causes: tuple[Cause, ...]) -> bool:
        if any(part is before for before, _ in self.told):
            return False
        self.told.append((part, causes))
        return True

    async def computed(self, file: ComputedFile) -> bool:
        if self.files or not self.active:
            return False
        self.files.append(file)
        return True


def trusted(task: str) -> Reports:
    return Reports(Authorization(task, WALLET, ENCLAVE.address, "0x"))


@attrs.define
class Worker:
    """A worker as far as its server can see it; tests change what they are about."""

    root: Node = attrs.field(factory=lambda: Node("root", State.RUNNING))
    durations: Durations = attrs.field(factory=lambda: Durations(3))
    sound: bool = True
    problems: Mapping[str, str | None] = attrs.field(factory=dict)
    redactor: Redactor = attrs.field(factory=lambda: Redactor([Secret("hunter2")]))
    tasks: dict[str, ReportsPort] = attrs.field(factory=dict)
    pool_version: str = "9.2.0"
    containers: tuple[str, ...] = ()
    subnet: Subnet = attrs.field(factory=Subnet)
    #: What it waits for before it knows its tasks.
    settle: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    def view(self) -> View:
        return View(
            root=self.root,
            durations=self.durations,
            metrics=Metrics("0xabc", self.durations, self.root),
            alive=lambda: self.sound,
            readiness=lambda: self.problems,
            redact=self.redactor.value,
            settle=self.settle,
            reports=self.tasks.get,
            pool_version=lambda: self.pool_version,
            is_container=lambda address: address in self.containers or self.subnet.has(address),
        )


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def reports(worker: Worker) -> Reports:
    """What the trusted task `TASK` has heard."""
    worker.tasks[TASK] = heard = trusted(TASK)
    return heard


@pytest.fixture
async def url(worker: Worker, nursery: trio.Nursery) -> str:
    app = make_app(worker.view())
    started: Any = await nursery.start(partial(run, app, bind="127.0.0.1", port=0))
    assert isinstance(started, str)
    return started


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as http:
        yield http
