"""A web server that answers raw bytes, and a downloader that may reach it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from attrs import define, field

from iexec_worker.config import Outbound
from iexec_worker.inputs.download import Downloader, Limits
from iexec_worker.inputs.guard import Guard
from iexec_worker.transport import make_client

if TYPE_CHECKING:
    from pathlib import Path

Answer = bytes | Callable[[trio.abc.Stream], Awaitable[None]]


def ok(body: bytes, *headers: str) -> bytes:
    """A whole answer with *body*."""
    head = "\r\n".join(("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers))
    return f"{head}\r\n\r\n".encode() + body


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def status(code: int) -> bytes:
    return f"HTTP/1.1 {code} Odd\r\nContent-Length: 0\r\n\r\n".encode()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@define
class Origin:
    """Answers each path as told, and keeps the heads of the requests it got."""

    port: int = 0
    answers: dict[str, Answer] = field(factory=dict)
    requests: list[str] = field(factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def handle(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = await stream.receive_some()
            if not part:
                return
            head += part
        self.requests.append(head.decode())
        answer = self.answers.get(head.split()[1].decode(), status(404))
        try:
            if isinstance(answer, bytes):
                await stream.send_all(answer)
            else:
                await answer(stream)
        except trio.BrokenResourceError:
            return  # the client has had enough
        await stream.aclose()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    server = Origin()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server.handle, 0, host="127.0.0.1"))
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


class Names(trio.abc.HostnameResolver):
    """Gives each name its next list of addresses; the last one stays."""

    def __init__(self) -> None:
        self.book: dict[str, list[list[str]]] = {}

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # type: ignore[no-untyped-def]  # noqa: A002, ANN001, ANN201, PLR0917 - as in the socket module
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.book:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        turns = self.book[name]
        found = turns.pop(0) if len(turns) > 1 else turns[0]
        numeric = [
            await trio.socket.getaddrinfo(address, port, family, type, proto, flags)
            for address in found
        ]
        return [entry for entries in numeric for entry in entries]

    async def getnameinfo(self, sockaddr, flags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - never called
        raise NotImplementedError


@pytest.fixture
async def names() -> AsyncIterator[Names]:
    resolver = Names()
    before = trio.socket.set_custom_hostname_resolver(resolver)
    yield resolver
    trio.socket.set_custom_hostname_resolver(before)


@define
class Downloaders:
    """Makes downloaders and closes their clients."""

    made: list[Downloader] = field(factory=list)

    def __call__(
        self,
        *allowed: str,
        limits: Limits | None = None,
        proxies: Outbound | None = None,
    ) -> Downloader:
        client = make_client(proxies or Outbound(), timeout=5, wrap=Guard(allowed).wrap)
        downloader = Downloader(client, limits or Limits(max_bytes=10_000_000))
        self.made.append(downloader)
        return downloader


@pytest.fixture
async def downloaders() -> AsyncIterator[Downloaders]:
    factory = Downloaders()
    yield factory
    for downloader in factory.made:
        await downloader.client.aclose()


@pytest.fixture
def downloader(downloaders: Downloaders) -> Downloader:
    return downloaders("127.0.0.1")
