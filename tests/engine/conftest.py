"""An engine, what it runs, and a line to it or to a registry that a test can slow down."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest
import trio
from attrs import define, field, frozen

from iexec_worker.devpool import images as devpool_images
from iexec_worker.devpool.images import Recipe
from iexec_worker.devpool.registry import Registry, registry
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.images.local import Images
from iexec_worker.engine.spec import ContainerSpec

if TYPE_CHECKING:
    from pathlib import Path

IMAGE: Final = "iexec-worker-tests/busybox:1"

Connect = Callable[[], Awaitable[trio.SocketStream]]


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    async with aclosing(Engine(engine_url)) as one:
        yield one


@pytest.fixture
def containers(engine: Engine) -> Containers:
    return Containers(engine)


@pytest.fixture
async def image(engine: Engine, engine_url: str) -> str:
    # Made once: each making would leave the one before without a name.
    if await Images(engine, (), stall=1).find(IMAGE) is None:
        recipe = Recipe(command=("/bin/echo", "from the image"))
        await devpool_images.build(engine_url, IMAGE, recipe)
    return IMAGE


@pytest.fixture
def spec(image: str) -> Callable[..., ContainerSpec]:
    """Makes specifications of containers of a name of their own; words are the command."""

    def make(*command: str, **more: object) -> ContainerSpec:
        name = f"tests-{uuid.uuid4().hex}"
        known = {"name": name, "image": image, "command": command or None}
        return ContainerSpec(**(known | more))  # type: ignore[arg-type]  # fields of a spec

    return make


@define
class Relay:
    """
    A line to a server. It passes *budget* bytes of answers, then holds the rest.

    *rate* bytes/s, None: as fast as they come.
    """

    connect: Connect
    budget: int | None = None
    rate: float | None = None
    port: int = 0
    passed: int = 0
    _changed: trio.Event = field(factory=trio.Event)
    _scopes: set[trio.CancelScope] = field(factory=set)

    def release(self, rate: float) -> None:
        """Pass on what was held, and all that follows, at *rate* bytes/s."""
        self.budget, self.rate = None, rate
        self._tell()

    def hang_up(self) -> None:
        """Break all connections that are open."""
        for scope in self._scopes:
            scope.cancel()

    async def busy(self) -> None:
        """Wait until a connection is open."""
        while not self._scopes:
            await self._changed.wait()

    async def quiet(self) -> None:
        """Wait until no connection is open."""
        while self._scopes:
            await self._changed.wait()

    async def holding(self) -> None:
        """Wait until an answer is held back."""
        while self.budget is None or self.passed < self.budget:
            await self._changed.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._relay, listeners)

    async def _relay(self, client: trio.SocketStream) -> None:
        async with client, await self.connect() as server, trio.open_nursery() as nursery:
            scope = nursery.cancel_scope
            self._scopes.add(scope)
            self._tell()
            nursery.start_soon(self._copy, client, server, scope, None)
            nursery.start_soon(self._copy, server, client, scope, self._hold)
        self._scopes.discard(scope)
        self._tell()

    async def _copy(
        self,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        scope: trio.CancelScope,
        before: Callable[[int], Awaitable[None]] | None,
    ) -> None:
        try:
            while data := await source.receive_some(16_384):
                if before is not None:
                    await before(len(data))
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()

    async def _hold(self, size: int) -> None:
        self.passed += size
        self._tell()
        while self.budget is not None and self.passed >= self.budget:
            await self._changed.wait()
        if self.rate is not None:
            await trio.sleep(size / self.rate)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run)
        yield relay
        nursery.cancel_scope.cancel()


def connector(url: str) -> Connect:
    parts = urlsplit(url)

    async def connect() -> trio.SocketStream:
        if parts.scheme == "unix":
            return await trio.open_unix_socket(parts.path)
        assert parts.hostname is not None
        assert parts.port is not None
        return await trio.open_tcp_stream(parts.hostname, parts.port)

    return connect


@pytest.fixture
async def engine_line(engine_url: str) -> AsyncIterator[Relay]:
    async with relaying(Relay(connector(engine_url))) as relay:
        yield relay


@frozen
class Shelf:
    """A registry with one image of *ballast* random bytes, reached over *line*."""

    registry: Registry
    line: Relay
    repository: str

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.line.port}/{self.repository}:1"


@pytest.fixture
async def gone() -> AsyncIterator[Engine]:
    async with aclosing(Engine("unix:///nowhere/docker.sock")) as engine:
        yield engine


@pytest.fixture
def stock(engine_url: str, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Shelf]]:
    """Opens a registry with an image; see `shelf`."""
    return partial(shelf, engine_url, tmp_path)


@asynccontextmanager
async def shelf(
    engine_url: str, folder: Path, *, ballast: int = 100_000, protected: bool = False
) -> AsyncIterator[Shelf]:
    repository = f"tests/app-{uuid.uuid4().hex}"
    async with registry(folder, protected=protected) as running:
        pushed = f"{running.address}/{repository}:1"
        await devpool_images.build(engine_url, pushed, Recipe(ballast=ballast))
        await devpool_images.push(
            engine_url, pushed, username=running.username, password=running.password
        )
        await devpool_images.remove(engine_url, pushed)
        async with relaying(Relay(connector(f"tcp://{running.address}"))) as line:
            found = Shelf(running, line, repository)
            yield found
            await devpool_images.remove(engine_url, found.image)


@pytest.fixture
async def shelf_registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """An empty, open registry."""
    async with registry(tmp_path / "registry") as running:
        yield running
