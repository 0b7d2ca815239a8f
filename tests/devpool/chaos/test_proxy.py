from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import frozen

from iexec_worker.devpool.chaos.proxy import Plan, Proxy, open_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

#: Long against what is waited for, on a machine that may be busy.
LIMIT: Final = 20.0

#: More than sockets and proxy together hold.
MUCH: Final = 64 * 1_048_576


@frozen
class Server:
    """Hands its ends of connections to the test."""

    port: int
    _accepted: trio.MemoryReceiveChannel[trio.SocketStream]

    async def accept(self) -> trio.SocketStream:
        with trio.fail_after(LIMIT):
            return await self._accepted.receive()


@frozen
class Pair:
    """Both ends of a connection through the proxy."""

    client: trio.SocketStream
    server: trio.SocketStream


@pytest.fixture
async def server(nursery: trio.Nursery) -> Server:
    send, receive = trio.open_memory_channel[trio.SocketStream](10)

    async def keep(stream: trio.SocketStream) -> None:
        async with stream:
            await send.send(stream)
            await trio.sleep_forever()

    (listener,) = await nursery.start(partial(trio.serve_tcp, keep, 0, host="127.0.0.1"))
    return Server(listener.socket.getsockname()[1], receive)


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[Proxy]:
    async with open_proxy(("127.0.0.1", server.port)) as proxy:
        yield proxy


@pytest.fixture
async def pair(proxy: Proxy, server: Server) -> AsyncIterator[Pair]:
    async with await connect(proxy) as client:
        yield Pair(client, await server.accept())


async def connect(proxy: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def read(stream: trio.SocketStream, size: int) -> bytes:
    received = bytearray()
    with trio.fail_after(LIMIT):
        while len(received) < size and (chunk := await stream.receive_some()):
            received += chunk
    return bytes(received)


async def ends(stream: trio.SocketStream) -> str:
    """How a connection ends on which nothing more is sent."""
    with trio.fail_after(LIMIT):
        try:
            assert await stream.receive_some() == b""
        except trio.BrokenResourceError:
            return "reset"
        return "end"


async def silent(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(0.1) as waited:
        await stream.receive_some()
    return waited.cancelled_caught


async def until(true: Callable[[], bool]) -> None:
    with trio.fail_after(LIMIT):
        while not true():
            await trio.lowlevel.checkpoint()


async def until_readable(stream: trio.SocketStream) -> None:
    with trio.fail_after(LIMIT):
        await trio.lowlevel.wait_readable(stream.socket)


async def test_bytes_pass_both_ways_unchanged(pair: Pair) -> None:
    there = bytes(range(256)) * 8_192
    back = there[::-1]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.client.send_all, there)
        nursery.start_soon(pair.server.send_all, back)
        assert await read(pair.server, len(there)) == there
        assert await read(pair.client, len(back)) == back


async def test_an_end_of_one_direction_leaves_the_other_open(pair: Pair, proxy: Proxy) -> None:
    await pair.client.send_eof()
    assert await ends(pair.server) == "end"

    await pair.server.send_all(b"the answer")
    await pair.server.send_eof()

    assert await read(pair.client, 100) == b"the answer"
    await until(lambda: proxy.connections == 0)


async def test_a_reset_on_one_side_is_one_on_the_other(pair: Pair, proxy: Proxy) -> None:
    await pair.server.send_all(b"unread")
    await until_readable(pair.client)

    # Closing with something unread is a reset.
    await pair.client.aclose()

    assert await ends(pair.server) == "reset"
    await until(lambda: proxy.connections == 0)


@pytest.mark.slow
async def test_who_sends_too_much_waits_for_who_reads(pair: Pair) -> None:
    sent = trio.Event()

    async def send() -> None:
        await pair.client.send_all(bytes(MUCH))
        sent.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert not sent.is_set()

        assert await read(pair.server, MUCH) == bytes(MUCH)
        await sent.wait()


@pytest.mark.slow
async def test_latency_is_added_each_way(pair: Pair, proxy: Proxy) -> None:
    proxy.set(Plan(latency=0.2))
    began = trio.current_time()

    await pair.client.send_all(b"a")
    assert await read(pair.server, 1) == b"a"
    assert trio.current_time() - began >= 0.2
    await pair.server.send_all(b"b")
    assert await read(pair.client, 1) == b"b"
    assert trio.current_time() - began >= 0.4


async def test_latency_does_not_keep_the_next_from_being_on_its_way(
    pair: Pair, proxy: Proxy
) -> None:
    proxy.set(Plan(latency=0.1))
    began = trio.current_time()

    for _ in range(50):
        await pair.client.send_all(b"a")
        await trio.testing.wait_all_tasks_blocked()

    assert await read(pair.server, 50) == b"a" * 50
    assert trio.current_time() - began < 50 * 0.1


@pytest.mark.slow
async def test_bandwidth_bounds_what_passes_in_a_second(pair: Pair, proxy: Proxy) -> None:
    proxy.set(Plan(bandwidth=10_000))
    began = trio.current_time()

    await pair.client.send_all(bytes(5_000))

    assert await read(pair.server, 5_000) == bytes(5_000)
    assert trio.current_time() - began >= 0.5


@pytest.mark.parametrize("plan", [Plan(latency=3_600), Plan(bandwidth=1), Plan(blackhole=True)])
async def test_what_is_on_its_way_follows_a_changed_plan(
    pair: Pair, proxy: Proxy, plan: Plan
) -> None:
    proxy.set(plan)
    await pair.client.send_all(bytes(1_000))
    await trio.testing.wait_all_tasks_blocked(0.01)

    proxy.set(Plan())

    assert await read(pair.server, 1_000) == bytes(1_000)


async def test_a_blackhole_accepts_and_never_answers(proxy: Proxy, server: Server) -> None:
    proxy.set(Plan(blackhole=True))

    async with await connect(proxy) as client:
        await client.send_all(b"anybody?")
        assert await silent(client)

        proxy.set(Plan())
        assert await read(await server.accept(), 8) == b"anybody?"


async def test_no_end_comes_out_of_a_blackhole(pair: Pair, proxy: Proxy) -> None:
    proxy.set(Plan(blackhole=True))

    await pair.server.aclose()
    assert await silent(pair.client)

    proxy.set(Plan())
    assert await ends(pair.client) == "end"


async def test_a_refusing_proxy_keeps_the_connections_that_are_there(
    pair: Pair, proxy: Proxy
) -> None:
    proxy.set(Plan(refuse=True))

    async with await connect(proxy) as second:
        assert await ends(second) == "reset"
    await pair.client.send_all(b"still here")
    assert await read(pair.server, 10) == b"still here"


async def test_reset_all_resets_both_sides_and_accepts_new_connections(
    pair: Pair, proxy: Proxy, server: Server
) -> None:
    assert proxy.connections == 1

    proxy.reset_all()

    assert (await ends(pair.client), await ends(pair.server)) == ("reset", "reset")
    await until(lambda: proxy.connections == 0)
    async with await connect(proxy) as client:
        await client.send_all(b"again")
        assert await read(await server.accept(), 5) == b"again"


async def test_reset_all_reaches_into_a_blackhole(pair: Pair, proxy: Proxy) -> None:
    proxy.set(Plan(blackhole=True))
    await pair.client.send_all(b"lost")

    proxy.reset_all()

    assert await ends(pair.client) == "reset"


async def test_a_cut_ends_both_sides_politely(pair: Pair, proxy: Proxy) -> None:
    proxy.cut_all()

    assert (await ends(pair.client), await ends(pair.server)) == ("end", "end")
    await until(lambda: proxy.connections == 0)


@pytest.mark.slow
async def test_a_slow_cut_tells_the_client_first_and_the_server_later(
    pair: Pair, proxy: Proxy
) -> None:
    proxy.cut_all(slowly=True)

    assert await ends(pair.client) == "end"
    await pair.client.send_all(b"not told yet")
    assert await read(pair.server, 12) == b"not told yet"
    assert await ends(pair.server) == "end"
    await until(lambda: proxy.connections == 0)


async def test_a_target_that_is_away_costs_the_connection_only(tmp_path: Path) -> None:
    target = tmp_path / "socket"
    async with open_proxy(target) as proxy:
        async with await connect(proxy) as client:
            assert await ends(client) == "reset"

        async with trio.open_nursery() as nursery:
            await nursery.start(serve_unix, target)
            async with await connect(proxy) as client:
                await client.send_all(b"x")
                assert await read(client, 1) == b"x"
            nursery.cancel_scope.cancel()


async def serve_unix(path: Path, *, task_status: trio.TaskStatus[None]) -> None:
    """Echo what comes to the socket at *path*."""
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(path))
    listener.listen()
    task_status.started()
    with suppress(trio.BrokenResourceError):
        await trio.serve_listeners(echo, [trio.SocketListener(listener)])


async def echo(stream: trio.SocketStream) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError):
            async for chunk in stream:
                await stream.send_all(chunk)


async def test_a_proxy_may_listen_at_a_path(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with open_proxy(("127.0.0.1", server.port), path=path) as proxy:
        async with await trio.open_unix_socket(path) as client:
            await client.send_all(b"x")
            other = await server.accept()
            assert await read(other, 1) == b"x"

            proxy.reset_all()

            assert (await ends(client), await ends(other)) == ("end", "reset")
        assert proxy.port == 0
    assert not path.exists()


@pytest.mark.parametrize("wrong", [{"latency": -1.0}, {"bandwidth": 0}])
def test_a_plan_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plan(**wrong)  # type: ignore[arg-type]  # what is wrong has no type of its own
