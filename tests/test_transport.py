from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from attrs import field, frozen

from iexec_worker import __version__
from iexec_worker.config import Outbound
from iexec_worker.transport import make_client, shown, why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@frozen
class Listener:
    """Answers every request, and remembers its head: a proxy, or an origin, as one takes it."""

    port: int
    heads: list[str] = field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def request_lines(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.heads]

    async def answer(self, stream: trio.SocketStream) -> None:
        head = b""
        async with stream:
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some()
            self.heads.append(head.decode())
            await stream.send_all(REFUSED if head.startswith(b"CONNECT") else OK)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    (socket,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = Listener(socket.socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, listener.answer, [socket])
        with trio.fail_after(5):
            yield listener
        nursery.cancel_scope.cancel()


@pytest.fixture
async def proxy() -> AsyncIterator[Listener]:
    async with listening() as listener:
        yield listener


@pytest.fixture
async def origin() -> AsyncIterator[Listener]:
    async with listening() as listener:
        yield listener


async def test_a_request_goes_to_the_proxy_in_absolute_form(proxy: Listener) -> None:
    async with make_client(Outbound(http_proxy=proxy.url), timeout=5) as client:
        response = await client.get("http://core.example:13000/version")

    assert response.text == "ok"
    assert proxy.request_lines == ["GET http://core.example:13000/version HTTP/1.1"]


async def test_https_asks_the_proxy_of_https_for_a_tunnel(proxy: Listener) -> None:
    async with make_client(Outbound(https_proxy=proxy.url), timeout=5) as client:
        with pytest.raises(httpx.ProxyError):
            await client.get("https://core.example/")

    assert proxy.request_lines == ["CONNECT core.example:443 HTTP/1.1"]


async def test_a_websocket_takes_the_way_of_http(proxy: Listener) -> None:
    async with make_client(Outbound(http_proxy=proxy.url), timeout=5) as client:
        with pytest.raises(httpx.ProxyError):
            await client.get("ws://core.example:13000/connect")

    assert proxy.request_lines == ["CONNECT core.example:13000 HTTP/1.1"]


async def test_credentials_of_the_proxy_are_sent_to_it(proxy: Listener) -> None:
    url = proxy.url.replace("//", "//user:word@")
    async with make_client(Outbound(http_proxy=url), timeout=5) as client:
        await client.get("http://core.example/")

    assert "Proxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.heads[0]


async def test_loopback_is_always_direct(proxy: Listener, origin: Listener) -> None:
    async with make_client(Outbound(http_proxy=proxy.url), timeout=5) as client:
        await client.get(f"{origin.url}/here")

    assert (origin.request_lines, proxy.heads) == (["GET /here HTTP/1.1"], [])


async def test_what_no_proxy_names_is_not_asked_of_the_proxy(proxy: Listener) -> None:
    proxies = Outbound(http_proxy=proxy.url, no_proxy=(".invalid",))
    async with make_client(proxies, timeout=5) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("http://core.invalid/")

    assert proxy.heads == []


async def test_a_client_may_have_direct_hosts_of_its_own(proxy: Listener) -> None:
    async with make_client(
        Outbound(http_proxy=proxy.url), timeout=5, direct=["node.invalid"]
    ) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("http://node.invalid:8545/")

    assert proxy.heads == []


async def test_the_environment_is_not_asked(
    proxy: Listener, origin: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", origin.url)
    async with make_client(Outbound(http_proxy=proxy.url), timeout=5) as client:
        await client.get("http://core.example/")

    assert (len(proxy.heads), origin.heads) == (1, [])


async def test_requests_say_who_asks(origin: Listener) -> None:
    async with make_client(Outbound(), timeout=5) as client:
        await client.get(origin.url)

    assert f"user-agent: iexec-worker/{__version__}" in origin.heads[0].lower()


def test_a_printed_url_has_no_secrets() -> None:
    url = httpx.URL("https://user:password@files.test/data?signature=abc#x")
    assert shown(url) == "https://files.test/data"
    assert len(shown(httpx.URL("https://files.test/" + 1000 * "x"))) == 201


async def test_what_cannot_be_reached_is_told_with_its_reason() -> None:
    assert await failure("http://127.0.0.1:1/") == (
        "ConnectError: all attempts to connect to 127.0.0.1:1 failed"
    )
    assert "ConnectError: [Errno" in await failure("http://core.invalid/")


async def test_a_server_that_speaks_no_tls_is_told_as_one(nursery: trio.Nursery) -> None:
    async def blunt(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    port = await served(nursery, blunt)

    assert "ConnectError: [SSL: WRONG_VERSION" in await failure(f"https://127.0.0.1:{port}/")


async def test_a_time_out_is_told_as_one(nursery: trio.Nursery) -> None:
    async def silent(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    port = await served(nursery, silent)

    assert await failure(f"http://127.0.0.1:{port}/") == "ReadTimeout"


async def served(
    nursery: trio.Nursery, handler: Callable[[trio.SocketStream], Awaitable[None]]
) -> int:
    listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
    return int(listeners[0].socket.getsockname()[1])


async def failure(url: str) -> str:
    async with make_client(Outbound(), timeout=0.5) as client:
        with pytest.raises(httpx.TransportError) as caught:
            await client.get(url)
    return why(caught.value)
