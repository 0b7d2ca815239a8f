from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from iexec_worker.secret import Secret
from iexec_worker.server.app import make_app
from iexec_worker.server.serve import run
from iexec_worker.server.view import View
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.redaction import Redactor
from iexec_worker.telemetry.tree import Node, State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import trio


@attrs.define
class Worker:
    """A worker as far as its server can see it; tests change what they are about."""

    root: Node = attrs.field(factory=lambda: Node("root", State.RUNNING))
    durations: Durations = attrs.field(factory=lambda: Durations(3))
    sound: bool = True
    problems: Mapping[str, str | None] = attrs.field(factory=dict)
    redactor: Redactor = attrs.field(factory=lambda: Redactor([Secret("hunter2")]))

    def view(self) -> View:
        return View(
            root=self.root,
            durations=self.durations,
            metrics=Metrics("0xabc", self.durations, self.root),
            alive=lambda: self.sound,
            readiness=lambda: self.problems,
            redact=self.redactor.value,
        )


@pytest.fixture
def worker() -> Worker:
    return Worker()


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
