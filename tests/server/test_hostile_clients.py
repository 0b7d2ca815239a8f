"""Clients that want to keep the server, or the whole process, from its work. On real sockets."""

from __future__ import annotations

import resource
import socket
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from quart import request

from iexec_worker.server.app import make_app
from iexec_worker.server.serve import Limits, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from quart import Quart

    from tests.server.conftest import Worker

LOCAL: dict[str, Any] = {"bind": "127.0.0.1", "port": 0}
HEALTH = b"GET /actuator/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def serve(worker: Worker, nursery: trio.Nursery) -> Callable[..., Awaitable[str]]:
    """Serve the worker's routes within limits; returns the URL."""

    async def start(**limits: float) -> str:
        chosen: Any = limits
        app = make_app(worker.view())
        url: str = await nursery.start(partial(run, app, **LOCAL, limits=Limits(**chosen)))
        return url

    return start


async def connect(url: str) -> trio.SocketStream:
    parsed = httpx.URL(url)
    assert parsed.port
    return await trio.open_tcp_stream(parsed.host, parsed.port)


async def answer(url: str, sent: bytes) -> bytes:
    """All that the server says to *sent* until it closes the connection."""
    async with await connect(url) as stream:
        # It may hang up before it has read everything.
        with suppress(trio.BrokenResourceError):
            await stream.send_all(sent)
        return await rest(stream)


async def rest(stream: trio.SocketStream) -> bytes:
    data = b""
    with suppress(trio.BrokenResourceError):
        async for part in stream:
            data += part
    return data


@contextmanager
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
async def test_of_a_thousand_connections_few_are_held_and_health_is_answered(
    serve: Callable[..., Awaitable[str]],
) -> None:
    url = await serve(connections=100, keep_alive=60)
    with many_files(), trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            streams = [await connect(url) for _ in range(1000)]
            assert (await answer(url, HEALTH)).startswith(b"HTTP/1.1 200 ")

            open_ = set(streams)

            async def watch(stream: trio.SocketStream) -> None:
                await rest(stream)
                open_.discard(stream)
                if len(open_) < 100:
                    nursery.cancel_scope.cancel()

            for stream in streams:
                nursery.start_soon(watch, stream)
            # The health check took the place of one of the last hundred.
        assert len(open_) == 99
        assert open_ == set(streams[-99:])
        for stream in streams:
            await trio.aclose_forcefully(stream)


@pytest.mark.slow
async def test_a_slow_loris_is_cut_off_however_regularly_it_drips(
    serve: Callable[..., Awaitable[str]],
) -> None:
    url = await serve(keep_alive=1)
    ended = 0

    async def drip() -> None:
        nonlocal ended
        async with await connect(url) as stream:
            with suppress(trio.BrokenResourceError):
                await stream.send_all(b"GET /version HTTP/1.1\r\n")
                while True:
                    await stream.send_all(b"X: y\r\n")
                    await trio.sleep(0.1)
        ended += 1

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(drip)
            assert (await answer(url, HEALTH)).startswith(b"HTTP/1.1 200 ")
    assert ended == 50


async def test_a_flood_from_one_address_does_not_push_out_another(
    serve: Callable[..., Awaitable[str]],
) -> None:
    url = await serve(connections=4, keep_alive=60)
    port = httpx.URL(url).port
    with trio.fail_after(10):
        other = trio.socket.socket()
        await other.bind(("127.0.0.2", 0))
        await other.connect(("127.0.0.1", port))
        flood = [await connect(url) for _ in range(12)]

        async with trio.SocketStream(other) as stream:
            await stream.send_all(HEALTH)
            assert (await rest(stream)).startswith(b"HTTP/1.1 200 ")
        for one in flood:
            await trio.aclose_forcefully(one)


@pytest.mark.parametrize(
    "bomb",
    [
        b"X: " + b"x" * 1_000_000,
        b"X: y\r\n" * 100_000,
        b"X" * 1_000_000,
        b" continued\r\n" * 100_000,
    ],
    ids=["long", "many", "name", "folded"],
)
async def test_a_header_bomb_is_refused(serve: Callable[..., Awaitable[str]], bomb: bytes) -> None:
    url = await serve()
    with trio.fail_after(10):
        said = await answer(url, b"GET /version HTTP/1.1\r\nHost: x\r\n" + bomb + b"\r\n\r\n")
    # Its end may be lost with what was sent in vain.
    assert said[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"")
    assert b"200" not in said


async def test_a_body_that_nobody_wants_is_not_read(serve: Callable[..., Awaitable[str]]) -> None:
    url, sent = await serve(), 0
    with trio.fail_after(20):
        async with await connect(url) as stream:
            await stream.send_all(
                b"POST /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            with suppress(trio.BrokenResourceError):
                while sent < 10**9:
                    await stream.send_all(chunk)
                    sent += len(chunk)
    assert sent < 10**9


async def test_a_body_that_does_not_arrive_is_given_up(
    worker: Worker, nursery: trio.Nursery
) -> None:
    app = make_app(worker.view())
    app.config["BODY_TIMEOUT"] = 0.1

    @app.post("/echo")
    async def echo() -> str:
        return str(len(await request.get_data()))

    url = await nursery.start(partial(run, app, **LOCAL))
    with trio.fail_after(10):
        said = await answer(url, b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab")
    assert said.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "greeting",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        ),
    ],
    ids=["known before", "upgraded"],
)
async def test_nobody_speaks_http_2(
    serve: Callable[..., Awaitable[str]], greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    url = await serve()
    with trio.fail_after(10):
        said = await answer(url, greeting)
    # A server of HTTP/2 begins with its settings.
    assert b"\0\0\x04" not in said.rpartition(b"\r\n\r\n")[2]
    assert caplog.records == []
    assert (await answer(url, HEALTH)).startswith(b"HTTP/1.1 200 ")


async def test_nobody_speaks_websocket(serve: Callable[..., Awaitable[str]]) -> None:
    url = await serve()
    with trio.fail_after(10):
        said = await answer(
            url,
            b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
        )
    assert not said.startswith(b"HTTP/1.1 101")


#: What does more than to show something; each checks who calls before it looks at anything else.
TOLD = {
    "/compute/<part>/<task>/exit",
    "/compute/<part>/<task>/exit-causes",
    "/compute/post/<task>/computed",
    "/iexec_out/<task>/computed",
}


async def test_nothing_changes_state_but_what_enclaves_tell(
    worker: Worker, serve: Callable[..., Awaitable[str]]
) -> None:
    app: Quart = make_app(worker.view())
    methods = {rule.rule: set(rule.methods or ()) for rule in app.url_map.iter_rules()}
    shown = {rule: which for rule, which in methods.items() if rule not in TOLD}
    assert set().union(*shown.values()) <= {"GET", "HEAD", "OPTIONS"}
    assert all(methods[rule] == {"POST", "OPTIONS"} for rule in TOLD)

    url = await serve()
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for rule in shown:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                assert (await client.request(method, rule)).status_code == 405
        for rule in TOLD:
            path = rule.replace("<part>", "pre").replace("<task>", "0x")
            for method in ("GET", "PUT", "PATCH", "DELETE"):
                assert (await client.request(method, path)).status_code == 405


async def test_a_connection_that_was_reset_before_it_was_served_harms_nobody(
    serve: Callable[..., Awaitable[str]],
) -> None:
    url = await serve()
    for _ in range(20):
        stream = await connect(url)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(stream)
    assert (await answer(url, HEALTH)).startswith(b"HTTP/1.1 200 ")
