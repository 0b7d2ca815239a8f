"""A node that answers as a test tells it, and a real one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import h11
import httpx
import pytest
import trio
from attrs import define, field

from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.devpool.chain.anvil import Node, anvil
from iexec_worker.devpool.tools import Tools, provide
from tests.cached import CACHE

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "signatures.json"


class RpcError(Exception):
    """What a handler raises to have the node answer with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        self.error = {"code": code, "message": message, "data": data}
        super().__init__(message)


class HangUp(Exception):
    """What a handler raises to have the connection closed without an answer."""


Handler = Callable[[str, list[Any]], Awaitable[object]]


@define(eq=False)
class FakeNode:
    """A JSON-RPC server on port 0. *raw* (status, body), when set, is its answer to everything."""

    handler: Handler | None = None
    raw: tuple[int, bytes] | None = None
    batches: bool = True
    url: str = ""
    bodies: list[Any] = field(factory=list)
    headers: list[dict[str, str]] = field(factory=list)

    @property
    def methods(self) -> list[str]:
        calls = [body if isinstance(body, list) else [body] for body in self.bodies]
        return [call["method"] for batch in calls for call in batch]

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while await self._exchange(connection, stream):
                    connection.start_next_cycle()
            except (HangUp, h11.RemoteProtocolError, trio.BrokenResourceError):
                return

    async def _exchange(self, connection: h11.Connection, stream: trio.SocketStream) -> bool:
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Request):
                self.headers.append({k.decode(): v.decode() for k, v in event.headers})
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        status, answer = await self._answer(body)
        head = h11.Response(status_code=status, headers=[("content-length", str(len(answer)))])
        for out in (head, h11.Data(data=answer), h11.EndOfMessage()):
            await stream.send_all(connection.send(out) or b"")
        return True

    async def _answer(self, body: bytes) -> tuple[int, bytes]:
        asked = json.loads(body)
        self.bodies.append(asked)
        if self.raw is not None:
            return self.raw
        if isinstance(asked, dict):
            return 200, json.dumps(await self._one(asked)).encode()
        if not self.batches:
            error = {"code": -32600, "message": "no batches here"}
            return 400, json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        # In reverse: the order of a batch's answers is the node's affair.
        answers = [await self._one(call) for call in asked][::-1]
        return 200, json.dumps(answers).encode()

    async def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self.handler is not None
        try:
            result = await self.handler(call["method"], call["params"])
        except RpcError as error:
            return {"jsonrpc": "2.0", "id": call["id"], "error": error.error}
        return {"jsonrpc": "2.0", "id": call["id"], "result": result}


MakeNode = Callable[..., Awaitable[FakeNode]]
MakeProvider = Callable[..., NodeProvider]


@pytest.fixture
def make_node(nursery: trio.Nursery) -> MakeNode:
    async def make(
        handler: Handler | None = None, raw: tuple[int, bytes] | None = None, batches: bool = True
    ) -> FakeNode:
        node = FakeNode(handler, raw, batches)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        node.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, node.serve, [listener])
        return node

    return make


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=5) as client:
        yield client


@pytest.fixture
async def make_provider(client: httpx.AsyncClient) -> MakeProvider:
    return lambda *urls: NodeProvider(client, urls)


@pytest.fixture
def vectors() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(VECTORS.read_text())
    return read


@pytest.fixture
async def tools() -> Tools:
    return await provide(CACHE)


@pytest.fixture
async def chain(tools: Tools, tmp_path: Path) -> AsyncIterator[Node]:
    """A real node that mines what it gets at once."""
    async with anvil(tools.anvil, tmp_path / "anvil.log") as node:
        yield node
