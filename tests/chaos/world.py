"""Everything around a worker, which outlives it: pool, chain, engine, result proxy, disk."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio
from attrs import define, field

from iexec_worker.chain.wallet import Wallet
from tests.chaos.contracts import FILES_URL, STANDARD, Contracts, Deal
from tests.chaos.desk import CHAIN, CONFIG_URL, NODE_URL, PROXY_URL, Desk
from tests.chaos.eyes import Eyes
from tests.chaos.machine import Machine
from tests.chaos.mortal import breathe, outside
from tests.chaos.node import Node
from tests.chaos.proxy import Proxy
from tests.chaos.trust import POST, PRE, SMS_URL, Enclaves, SecretService

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.chaos.machine import Container
    from tests.chaos.mortal import Mortal

KEY: Final = Wallet.from_key("0x" + 64 * "1")

#: How long the server of input files takes.
INPUT_SECONDS: Final = 5.0


@define(eq=False)
class World:
    """
    One run's outside. *root* is its disk.

    What a killed life still writes must not be seen by the next one: at its end the disk is
    copied as it is, and the copy is what goes on.
    """

    root: Path
    nursery: trio.Nursery
    deal: Deal = STANDARD
    #: What a path has a service answer in its place.
    fault: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    #: Whether a path loses the answer to a request that was heard.
    lost: Callable[[httpx.Request, bytes], bool] = lambda *_: False
    #: What a server of input files has, by path.
    files: dict[str, bytes] = field(factory=dict)
    node: Node = field(init=False)
    machine: Machine = field(init=False)
    proxy: Proxy = field(init=False)
    desk: Desk = field(init=False)
    sms: SecretService = field(init=False)
    enclaves: Enclaves = field(init=False)
    _disks: int = 0

    def __attrs_post_init__(self) -> None:
        self.node = Node(Contracts(self.deal))
        self.machine = Machine(self._place)
        self.proxy = Proxy(self.node.contracts, KEY.address)
        self.sms = SecretService()
        self.desk = Desk(KEY.address, Eyes(self.node), self.proxy, self.sms)
        self.enclaves = Enclaves(self.machine, self.proxy, self._place, KEY.address)
        if self.deal.trusted:
            self.machine.animate = self._animate
            self.machine.images |= {PRE, POST}
        self.base.mkdir(parents=True)
        if self.deal.trusted:
            # It is not the worker's first one: what a pool repeats of a task has no SMS in it.
            (self.base / "w.sms.json").write_text(json.dumps({"SCONE": SMS_URL}))

    @property
    def base(self) -> Path:
        """The folder that the living worker is given."""
        return self.root / f"disk{self._disks}"

    @property
    def tasks(self) -> Path:
        """Where the tasks' folders are."""
        return self.base / "w"

    def kill(self, life: Mortal) -> None:
        """End *life* as it is: nothing it does from now on has an effect."""
        self.machine.settle()
        life.dead = True
        self.machine.hang_up()
        before = self.base
        self._disks += 1
        shutil.copytree(before, self.base, symlinks=True)

    def client(self) -> httpx.AsyncClient:
        """Return a client of the living worker's."""
        return _Client(self)

    def at_once(self, request: httpx.Request, body: bytes) -> httpx.Response | None:
        """Answer a request to a service that never waits, or have a path's plans instead."""
        if (fault := self.fault(request)) is not None:
            return fault
        match f"http://{request.url.host}":
            case str(host) if host == NODE_URL:
                return _Answer(self.node.answer(body))
            case str(host) if host == PROXY_URL:
                self.node.advance()
                return self.proxy.answer(request, body)
            case str(host) if host == SMS_URL:
                return self.sms.answer(request, body)
            case str(host) if host == CONFIG_URL:
                return httpx.Response(200, json=CHAIN)
        return None

    async def in_time(self, request: httpx.Request, body: bytes) -> httpx.Response:
        """Answer a request to one of the others, unless a path loses the answer."""
        if f"http://{request.url.host}" == FILES_URL:
            await trio.sleep(INPUT_SECONDS)
            content = self.files.get(request.url.path)
            return httpx.Response(404 if content is None else 200, content=content)
        answer = await self.desk.answer(request, body)
        return httpx.Response(502) if self.lost(request, body) else answer

    def _animate(self, container: Container) -> bool:
        """Let a post-compute do what it does; True for one."""
        is_post = bool(container.request["image"] == POST)
        if is_post:
            with outside():
                self.nursery.start_soon(self.enclaves.post_compute, container)
        return is_post

    def _place(self, path: str) -> Path:
        """Say where a path that an earlier life named is now."""
        return self.base.joinpath(*Path(path).relative_to(self.root).parts[1:])


class _Request(httpx.Request):
    """What worker and world use of a request, and nothing that goes with a real connection."""

    def __init__(
        self, method: str, url: httpx.URL, body: bytes, headers: Mapping[str, str]
    ) -> None:
        self.method, self.url, self.headers = method, url, httpx.Headers(headers)
        self.stream, self.extensions = httpx.ByteStream(body), {}


class _Answer(httpx.Response):
    """The same of a response with *body*; most of them are the node's."""

    def __init__(self, body: bytes) -> None:
        self.status_code, self.headers, self.extensions = 200, httpx.Headers(), {}
        self.stream, self._content, self.is_closed = httpx.ByteStream(body), body, True


@define(eq=False)
class _Exchange:
    response: httpx.Response | None = None
    done: trio.Event = field(factory=trio.Event)


class _Client(httpx.AsyncClient):
    """
    Hands requests over to the world, which finishes them also when nobody waits any more.

    Without what httpx does around a transport (cookies, redirects, log-ins, the reading of the
    same few URLs): half of a run's time.
    """

    def __init__(self, world: World) -> None:
        # No transport of its own making: that would begin with an SSL context.
        super().__init__(trust_env=False, transport=httpx.AsyncBaseTransport())
        self._world = world

    def build_request(  # type: ignore[override]  # the worker uses no more of it
        self,
        method: str,
        url: httpx.URL | str,
        *,
        content: bytes | None = None,
        json: object = None,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        **_: object,
    ) -> httpx.Request:
        address = _url(str(url), tuple((params or {}).items()))
        return _Request(method, address, content or _encoded(json), headers or {})

    async def request(
        self,
        method: str,
        url: httpx.URL | str,
        **more: Any,  # noqa: ANN401 - as they come
    ) -> httpx.Response:
        return await self.send(self.build_request(method, url, **more))

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **_: object
    ) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        await trio.lowlevel.checkpoint()
        breathe()
        response = self._world.at_once(request, body)
        if response is None:
            response = await self._in_time(request, body)
        else:
            await trio.lowlevel.checkpoint()
        breathe()
        if stream:
            # Not yet read, as what comes from a socket.
            content = httpx.ByteStream(response.content)
            response = httpx.Response(response.status_code, stream=content)
        response.request = request
        return response

    async def _in_time(self, request: httpx.Request, body: bytes) -> httpx.Response:
        exchange = _Exchange()
        with outside():
            self._world.nursery.start_soon(self._serve, request, body, exchange)
        await exchange.done.wait()
        assert exchange.response is not None
        return exchange.response

    async def _serve(self, request: httpx.Request, body: bytes, exchange: _Exchange) -> None:
        exchange.response = await self._world.in_time(request, body)
        exchange.done.set()


def _encoded(body: object) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


@cache
def _url(url: str, params: tuple[tuple[str, Any], ...]) -> httpx.URL:
    return httpx.URL(url, params=params) if params else httpx.URL(url)
