from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from quart import Response, request
from quart_trio import QuartTrio
from trio.testing import wait_all_tasks_blocked

from iexec_worker.errors import Fatal
from iexec_worker.server.app import make_app
from iexec_worker.server.serve import Limits, run

if TYPE_CHECKING:
    from tests.server.conftest import Worker

LOCAL: dict[str, Any] = {"bind": "127.0.0.1", "port": 0}


async def connect(url: str) -> trio.SocketStream:
    parsed = httpx.URL(url)
    assert parsed.port
    return await trio.open_tcp_stream(parsed.host, parsed.port)


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    async for part in stream:
        data += part
    return data


async def test_port_zero_takes_a_free_port_and_says_which(url: str) -> None:
    parsed = httpx.URL(url)

    assert parsed.scheme == "http"
    assert parsed.host == "127.0.0.1"
    assert parsed.port


async def test_an_ipv6_address_is_served_too(worker: Worker, nursery: trio.Nursery) -> None:
    app = make_app(worker.view())
    url: str = await nursery.start(partial(run, app, bind="::1", port=0))

    assert url.startswith("http://[::1]:")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/actuator/health")).status_code == 200


async def test_a_port_in_use_is_fatal_and_names_the_variable(worker: Worker, url: str) -> None:
    port = httpx.URL(url).port
    assert port

    with pytest.raises(Fatal) as caught:
        await run(make_app(worker.view()), bind="127.0.0.1", port=port)

    assert str(caught.value).startswith(f"cannot listen on 127.0.0.1 port {port}: Address already")
    assert "set IEXEC_WORKER_PORT to a free port" in str(caught.value)


async def test_an_address_of_another_machine_is_fatal(worker: Worker) -> None:
    with pytest.raises(Fatal, match="IEXEC_WORKER_BIND_ADDRESS") as caught:
        await run(make_app(worker.view()), bind="192.0.2.1", port=0)

    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EADDRNOTAVAIL


async def test_the_port_is_free_again_after_a_stop(worker: Worker) -> None:
    app = make_app(worker.view())
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(run, app, **LOCAL))
        nursery.cancel_scope.cancel()

    with pytest.raises(OSError, match="all attempts to connect"):
        await connect(url)
    async with trio.open_nursery() as nursery:
        port = httpx.URL(url).port
        assert port
        again = await nursery.start(
            partial(run, make_app(worker.view()), bind="127.0.0.1", port=port)
        )
        nursery.cancel_scope.cancel()
    assert again == url


async def test_no_signal_handler_is_installed(worker: Worker) -> None:
    # Whatever they are before: a shell may have us started with SIGINT ignored.
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(run, make_app(worker.view()), **LOCAL))
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        nursery.cancel_scope.cancel()
    assert during == before


async def used(url: str) -> trio.SocketStream:
    """A connection on which a request has been answered."""
    stream = await connect(url)
    await stream.send_all(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    await wait_all_tasks_blocked()
    return stream


async def test_idle_connections_do_not_hold_up_a_stop(worker: Worker) -> None:
    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(run, make_app(worker.view()), **LOCAL))
            fresh, kept = await connect(url), await used(url)
            nursery.cancel_scope.cancel()
        await fresh.aclose()
        await kept.aclose()


async def test_a_connection_that_was_used_is_closed_when_it_stays_idle(
    worker: Worker, nursery: trio.Nursery
) -> None:
    limits = Limits(keep_alive=0.05)
    url = await nursery.start(partial(run, make_app(worker.view()), **LOCAL, limits=limits))
    with trio.fail_after(2):
        async with await used(url) as stream:
            await read_all(stream)


def slow_app(entered: trio.Event, leave: trio.Event) -> QuartTrio:
    app = QuartTrio("slow")

    @app.get("/")
    async def root() -> str:
        entered.set()
        await leave.wait()
        return "done"

    return app


async def test_a_request_under_way_is_answered_before_the_stop() -> None:
    entered, leave = trio.Event(), trio.Event()
    answers: list[str] = []

    async def ask(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            answers.append((await client.get(url)).text)

    with trio.fail_after(2):
        async with trio.open_nursery() as clients, trio.open_nursery() as nursery:
            url = await nursery.start(partial(run, slow_app(entered, leave), **LOCAL))
            clients.start_soon(ask, url)
            await entered.wait()
            nursery.cancel_scope.cancel()
            leave.set()

    assert answers == ["done"]


async def test_a_request_that_does_not_end_is_cut_off_after_the_grace() -> None:
    entered = trio.Event()
    limits = Limits(grace=0.05)

    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            app = slow_app(entered, trio.Event())
            url = await nursery.start(partial(run, app, **LOCAL, limits=limits))
            async with await connect(url) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await entered.wait()
                nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_client_that_never_reads_does_not_hold_up_a_stop() -> None:
    app, sending = QuartTrio("big"), trio.Event()

    @app.get("/")
    async def root() -> Response:
        sending.set()
        return Response(b"x" * 64_000_000)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        limits = Limits(send=0.5, grace=0.05)
        url = await nursery.start(partial(run, app, **LOCAL, limits=limits))
        stream = await connect(url)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await sending.wait()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    # The client is still connected, and has still not read a byte.
    assert trio.current_time() - began < 5
    await stream.aclose()


async def test_a_head_that_is_too_large_is_refused(url: str) -> None:
    with trio.fail_after(2):
        async with await connect(url) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nX: " + 17_000 * b"x")
            assert (await read_all(stream)).startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_does_not_arrive_ends_the_connection(
    worker: Worker, nursery: trio.Nursery
) -> None:
    limits = Limits(keep_alive=0.05)
    url = await nursery.start(partial(run, make_app(worker.view()), **LOCAL, limits=limits))

    with trio.fail_after(2):
        async with await connect(url) as stream:
            await stream.send_all(b"GET / HT")
            assert await read_all(stream) == b""


async def test_what_is_no_http_is_refused_and_not_logged(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(2):
        async with await connect(url) as stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00\r\n\r\n")
            assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
    assert caplog.records == []


async def test_a_body_over_a_mebibyte_is_refused(worker: Worker, nursery: trio.Nursery) -> None:
    app = make_app(worker.view())

    @app.post("/echo")
    async def echo() -> Response:
        return Response(str(len(await request.get_data())))

    url = await nursery.start(partial(run, app, **LOCAL))
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        taken = await client.post("/echo", content=b"x" * 1024 * 1024)
        refused = await client.post("/echo", content=b"x" * (1024 * 1024 + 1))

    assert taken.text == "1048576"
    assert refused.status_code == 413
    assert refused.text == '{"status":413,"error":"Request Entity Too Large"}'


async def test_nothing_is_said_of_requests_that_went_well(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get("/version")

    assert "server" not in answer.headers
    assert [record for record in caplog.records if record.name != "httpx"] == []
    assert capfd.readouterr() == ("", "")


async def test_a_connection_that_is_reset_is_nobodys_problem(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await connect(url)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await stream.send_all(b"GET /actuator/prometheus HTTP/1.1\r\nHost: x\r\n\r\n")
    await stream.aclose()

    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/version")).status_code == 200
    assert [record for record in caplog.records if record.name != "httpx"] == []


@pytest.mark.slow
def test_the_telemetry_package_does_not_import_the_server() -> None:
    program = (
        "import sys; import iexec_worker.telemetry.logs, iexec_worker.telemetry.prometheus;"
        "print([name for name in ('quart', 'hypercorn', 'trio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout == b"[]\n"
