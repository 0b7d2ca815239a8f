"""Calls to engines that answer, refuse, are frozen or gone, and what is left of the calls."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iexec_worker.engine.client import CALL_GRACE, Engine
from iexec_worker.errors import EngineRefused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec
    from tests.engine.conftest import Relay


def engine_threads() -> list[str]:
    """Threads that run a call; Trio keeps idle ones for ten seconds, under another name."""
    return [t.name for t in threading.enumerate() if t.name.startswith("engine call")]


@pytest.fixture
async def frozen() -> AsyncIterator[Engine]:
    """An engine whose kernel takes connections, while it does nothing: as after SIGSTOP."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with listener, aclosing(Engine(f"tcp://127.0.0.1:{port}")) as engine:
        yield engine


@pytest.mark.docker
async def test_the_engine_tells_its_version(engine: Engine) -> None:
    await engine.ping()

    assert (await engine.version())[0].isdigit()


@pytest.mark.docker
async def test_what_the_engine_refuses_is_told_in_its_words(engine: Engine) -> None:
    with pytest.raises(EngineRefused, match="No such container: nobody"):
        await engine.call(lambda api: api.inspect_container("nobody"))


@pytest.mark.parametrize("url", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"])
async def test_an_engine_that_is_not_there_is_unavailable(url: str) -> None:
    async with aclosing(Engine(url)) as engine:
        with pytest.raises(Unavailable, match="is it running"):
            await engine.ping()


async def test_an_engine_that_talks_nonsense_is_unavailable() -> None:
    async def babble(stream: trio.SocketStream) -> None:
        # It may have heard enough by then.
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>")

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, babble, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        port = listener.socket.getsockname()[1]
        async with aclosing(Engine(f"tcp://127.0.0.1:{port}")) as engine:
            with trio.fail_after(5), pytest.raises(Unavailable):
                await engine.ping()
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_call_to_a_frozen_engine_is_cancelled_within_its_grace(frozen: Engine) -> None:
    with trio.fail_after(CALL_GRACE + 2):
        with trio.move_on_after(0.05) as scope:
            await frozen.ping()

    assert scope.cancelled_caught
    assert engine_threads() == []


async def test_a_stream_from_a_frozen_engine_is_cancelled_at_once(frozen: Engine) -> None:
    with trio.fail_after(CALL_GRACE / 2):
        with trio.move_on_after(0.05) as scope:
            await frozen.stream(lambda api: api.ping())

    assert scope.cancelled_caught
    assert engine_threads() == []


async def test_many_calls_to_a_frozen_engine_are_cancelled_together(frozen: Engine) -> None:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(frozen.stream, lambda api: api.ping())
            while len(engine_threads()) < 40:
                await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()

    assert engine_threads() == []


async def test_a_frozen_engine_that_has_one_call_keeps_no_other_from_being_cancelled(
    frozen: Engine,
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(frozen.stream, lambda api: api.ping())
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.fail_after(CALL_GRACE / 2):
            with trio.move_on_after(0.05):
                await frozen.stream(lambda api: api.ping())

        assert len(engine_threads()) == 1
        nursery.cancel_scope.cancel()


async def test_a_connect_that_nobody_answers_is_cancelled_at_once() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # With its queue full the kernel drops what comes, as a host that is gone does.
        queue = [stack.enter_context(socket.socket()) for _ in range(2)]
        for sock in queue:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        async with aclosing(Engine(f"tcp://127.0.0.1:{listener.getsockname()[1]}")) as engine:
            with trio.fail_after(CALL_GRACE / 2):
                with trio.move_on_after(0.05) as scope:
                    await engine.stream(lambda api: api.ping())

    assert scope.cancelled_caught
    assert engine_threads() == []


async def test_an_engine_that_came_back_is_asked_for_its_version_again() -> None:
    async with trio.open_nursery() as nursery:
        asked: list[str] = []

        async def answer(stream: trio.SocketStream) -> None:
            async with stream:
                asked.append((await stream.receive_some()).decode().split()[1])
                body = b'{"ApiVersion": "1.41"}'
                if len(asked) != 3:
                    await stream.send_all(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                    )

        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        async with aclosing(Engine(f"tcp://127.0.0.1:{port}")) as engine:
            with trio.fail_after(5):
                await engine.ping()
                with pytest.raises(Unavailable):
                    await engine.ping()
                await engine.ping()
        nursery.cancel_scope.cancel()

    first = ["/version", "/v1.41/_ping"]
    assert asked == [*first, "/v1.41/_ping", *first]


@pytest.mark.docker
async def test_streams_do_not_keep_calls_waiting(
    engine_url: str, containers: Containers, spec: Callable[..., ContainerSpec]
) -> None:
    async with (
        containers.running(spec("sleep", "60")) as container,
        aclosing(Engine(engine_url, threads=1)) as engine,
        trio.open_nursery() as nursery,
    ):
        for _ in range(8):
            nursery.start_soon(engine.stream, lambda api: api.wait(container))
        await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.fail_after(5):
            await engine.ping()
        nursery.cancel_scope.cancel()


WAITERS: dict[str, Callable[[Containers, str], Awaitable[Any]]] = {
    "wait": lambda containers, name: containers.wait(name, limit=60),
    "wait for it without end": lambda containers, name: containers.engine.stream(
        lambda api: api.wait(name)
    ),
    "follow the log": lambda containers, name: containers.engine.stream(
        lambda api: list(api.logs(name, stream=True, follow=True))
    ),
    "events": lambda containers, _: containers.engine.stream(lambda api: list(api.events())),
}


@pytest.mark.docker
@pytest.mark.parametrize("waiting", WAITERS.values(), ids=WAITERS)
async def test_no_thread_outlives_a_cancelled_stream(
    waiting: Callable[[Containers, str], Awaitable[Any]],
    containers: Containers,
    spec: Callable[..., ContainerSpec],
) -> None:
    async with containers.running(spec("sleep", "60")) as container:
        with trio.fail_after(1.5):
            with trio.move_on_after(0.3) as scope:
                await waiting(containers, container)

        assert scope.cancelled_caught
        assert engine_threads() == []


@pytest.mark.docker
async def test_an_engine_that_breaks_off_is_unavailable(
    engine_line: Relay, containers: Containers, spec: Callable[..., ContainerSpec]
) -> None:
    async with (
        containers.running(spec("sleep", "60")) as container,
        aclosing(Engine(f"tcp://127.0.0.1:{engine_line.port}")) as engine,
        trio.open_nursery() as nursery,
    ):
        await engine.ping()

        async def breaks_off() -> None:
            with pytest.raises(Unavailable), trio.fail_after(5):
                await engine.stream(lambda api: api.wait(container))

        await engine_line.quiet()
        nursery.start_soon(breaks_off)
        await engine_line.busy()
        engine_line.hang_up()
