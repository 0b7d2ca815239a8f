from __future__ import annotations

import base64
import hashlib
import json
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from attrs import define, field, frozen
from quart import Response, request
from quart_trio import QuartTrio

from iexec_worker.config import Outbound
from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.inputs.guard import Guard
from iexec_worker.model import ZERO_ADDRESS, Authorization
from iexec_worker.results.body import CHUNK
from iexec_worker.results.proxy import ResultProxy
from iexec_worker.transport import make_client
from tests.served import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

TASK = "0x" + 64 * "a"
DIGEST = "0x" + 64 * "d"
OURS = Authorization(
    chain_task_id=TASK,
    worker_wallet="0x" + 40 * "b",
    enclave_challenge=ZERO_ADDRESS,
    signature="0x" + 130 * "5",
    deal_id="0x" + 64 * "c",
    task_index=3,
)


@frozen
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@define
class Server:
    """Answers everything with *answer*, and keeps what it was asked."""

    url: str = ""
    answer: tuple[str, int] = ("", 200)
    seen: list[Seen] = field(factory=list)

    def app(self) -> QuartTrio:
        app = QuartTrio(__name__)
        app.config["MAX_CONTENT_LENGTH"] = None

        @app.route("/<path:path>", methods=["GET", "POST", "HEAD"])
        async def everything(path: str) -> Response:
            body = await request.get_data()
            assert isinstance(body, bytes)
            self.seen.append(Seen(request.method, "/" + path, dict(request.headers), body))
            return Response(*self.answer)

        return app


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with served(server.app()) as server.url:
        yield server


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[ResultProxy]:
    # As in the worker: the requester may have chosen the proxy, so the guard stands before it.
    guard = Guard(["127.0.0.1"])
    async with make_client(Outbound(), timeout=5, wrap=guard.wrap) as client:
        yield ResultProxy(client, server.url + "/")


async def test_a_proxy_on_a_private_address_is_refused(server: Server) -> None:
    async with make_client(Outbound(), timeout=5, wrap=Guard().wrap) as client:
        with pytest.raises(Rejected, match="not public"):
            await ResultProxy(client, server.url).token(OURS, "0x51")
    assert not server.seen


async def test_a_token_is_asked_with_the_bare_signature(server: Server, proxy: ResultProxy) -> None:
    server.answer = "head.body.sign-_", 200
    assert await proxy.token(OURS, "0x51") == "head.body.sign-_"
    asked = server.seen[0]
    assert (asked.method, asked.path) == ("POST", "/v1/results/token")
    assert asked.headers["Authorization"] == "0x51"
    assert asked.headers["Content-Type"] == "application/json"
    assert json.loads(asked.body) == {
        "chainTaskId": TASK,
        "dealId": "0x" + 64 * "c",
        "taskIndex": 3,
        "workerWallet": "0x" + 40 * "b",
        "enclaveChallenge": ZERO_ADDRESS,
        "signature": {"value": "0x" + 130 * "5"},
    }


@pytest.mark.parametrize("size", [0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 2])
async def test_an_upload_is_the_archive_in_json(
    server: Server, proxy: ResultProxy, tmp_path: Path, size: int
) -> None:
    archive = tmp_path / "out.zip"
    archive.write_bytes(hashlib.shake_256(b"seed").digest(size))
    server.answer = "/ipfs/Qm1", 200
    assert await proxy.upload("token", OURS, archive, DIGEST) == "/ipfs/Qm1"
    asked = server.seen[0]
    assert (asked.method, asked.path) == ("POST", "/v1/results")
    assert asked.headers["Authorization"] == "token"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Content-Length"] == str(len(asked.body))
    model = json.loads(asked.body)
    assert base64.b64decode(model.pop("zip"), validate=True) == archive.read_bytes()
    assert model == {
        "chainTaskId": TASK,
        "dealId": "0x" + 64 * "c",
        "taskIndex": 3,
        "image": None,
        "cmd": None,
        "deterministHash": DIGEST,
        "enclaveSignature": "0x" + 130 * "0",
    }


async def test_where_a_result_is_may_be_unknown(server: Server, proxy: ResultProxy) -> None:
    server.answer = "QmHash", 200
    assert await proxy.ipfs_hash(TASK) == "QmHash"
    server.answer = "", 404
    assert await proxy.ipfs_hash(TASK) is None
    server.answer = "", 200
    assert await proxy.ipfs_hash(TASK) is None
    assert {(asked.method, asked.path) for asked in server.seen} == {
        ("GET", f"/v1/results/{TASK}/ipfshash")
    }
    assert "Authorization" not in server.seen[0].headers


async def test_a_result_is_there_or_not(server: Server, proxy: ResultProxy) -> None:
    server.answer = "", 204
    assert await proxy.exists("token", TASK)
    server.answer = "", 404
    assert not await proxy.exists("token", TASK)
    asked = server.seen[0]
    assert (asked.method, asked.path) == ("HEAD", f"/v1/results/{TASK}")
    assert asked.headers["Authorization"] == "token"


async def test_the_version_is_told(server: Server, proxy: ResultProxy) -> None:
    server.answer = "9.1.0\n", 200
    assert await proxy.version() == "9.1.0"


CALLS: dict[str, Callable[[ResultProxy, Path], Awaitable[object]]] = {
    "token": lambda proxy, _: proxy.token(OURS, "0x51"),
    "upload": lambda proxy, path: proxy.upload("token", OURS, path, DIGEST),
    "exists": lambda proxy, _: proxy.exists("token", TASK),
    "ipfs_hash": lambda proxy, _: proxy.ipfs_hash(TASK),
}


@pytest.fixture(params=list(CALLS))
def call(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[ResultProxy], Awaitable[object]]:
    archive = tmp_path / "out.zip"
    archive.write_bytes(bytes(10_000))
    return lambda proxy: CALLS[request.param](proxy, archive)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, Unauthorized),
        (400, Rejected),
        (409, Rejected),
        (302, Rejected),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_each_refusal_has_its_error(
    server: Server,
    proxy: ResultProxy,
    call: Callable[[ResultProxy], Awaitable[object]],
    code: int,
    kind: type[Exception],
) -> None:
    server.answer = "", code
    with pytest.raises(kind, match=str(code)):
        await call(proxy)


async def test_no_server_is_unavailable(call: Callable[[ResultProxy], Awaitable[object]]) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        with pytest.raises(Unavailable, match="ConnectError"):
            await call(ResultProxy(client, "http://127.0.0.1:1"))
        with pytest.raises(Unavailable, match="UnsupportedProtocol"):
            await call(ResultProxy(client, "ipfs"))
        with pytest.raises(Rejected, match="not a URL"):
            await call(ResultProxy(client, "http://h:99x"))


@pytest.mark.parametrize("text", ["", "<html>hello</html>", "two words", "x" * 70_000])
async def test_a_page_is_no_token(server: Server, proxy: ResultProxy, text: str) -> None:
    server.answer = text, 200
    with pytest.raises(Unavailable):
        await proxy.token(OURS, "0x51")


@pytest.mark.parametrize("text", ['Qm" }', "<html>", "../x", "x" * 70_000])
async def test_only_a_hash_gets_into_a_link(server: Server, proxy: ResultProxy, text: str) -> None:
    server.answer = text, 200
    with pytest.raises(Unavailable):
        await proxy.ipfs_hash(TASK)


@define
class Sink:
    """Reads an upload without keeping it; the answer comes after *limit* bytes or its end."""

    limit: int | None = None
    received: int = 0

    async def handle(self, stream: trio.SocketStream) -> None:
        length = self.limit
        async for part in stream:
            self.received += len(part)
            if length is None:
                head, _, _ = part.partition(b"\r\n\r\n")
                line = next(
                    x for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")
                )
                length = int(line.split(b":")[1]) + len(head) + 4
            if self.received >= length:
                break
        if self.limit is None:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n/ipfs/Qm1")
        await stream.aclose()


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "out.zip"
    with archive.open("wb") as file:
        file.truncate(100_000_000)
    sink = Sink()
    async with trio.open_nursery() as nursery, httpx.AsyncClient() as client:
        listeners = await nursery.start(partial(trio.serve_tcp, sink.handle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        tracemalloc.start()
        assert await ResultProxy(client, url).upload("t", OURS, archive, DIGEST) == "/ipfs/Qm1"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        nursery.cancel_scope.cancel()
    assert sink.received > 133_000_000
    assert peak < 8_000_000


async def test_an_upload_that_is_cut_off_may_be_repeated(tmp_path: Path) -> None:
    archive = tmp_path / "out.zip"
    archive.write_bytes(bytes(20_000_000))
    sink = Sink(limit=1)
    async with trio.open_nursery() as nursery, httpx.AsyncClient() as client:
        listeners = await nursery.start(partial(trio.serve_tcp, sink.handle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        with pytest.raises(Unavailable):
            await ResultProxy(client, url).upload("t", OURS, archive, DIGEST)
        nursery.cancel_scope.cancel()
