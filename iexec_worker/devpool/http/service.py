"""One HTTP service of the pool: Hypercorn behind a front, with its faults and its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

from iexec_worker.devpool.http.faults import Effect, Faults
from iexec_worker.devpool.http.front import Front
from iexec_worker.devpool.http.record import Exchange, Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]


@define(eq=False)
class Service:
    """
    Serves *app*; every request is recorded and may meet a fault.

    *app* may be replaced while running: the next request meets the new one.
    """

    name: str
    app: QuartTrio
    faults: Faults
    record: Record
    host: str = "127.0.0.1"
    port: int = 0
    front: Front = field(init=False)

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started with the port."""
        async with trio.open_nursery() as nursery:
            binds = await nursery.start(_serve, self)
            upstream = int(binds[0].rpartition(":")[2])
            self.front = Front(upstream, self.host, self.port)
            self.port = await nursery.start(self.front.run)
            task_status.started(self.port)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer as an ASGI app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upstream_port = scope["client"][1]
        peer = self.front.peer(upstream_port)
        scope = {**scope, "client": (peer or scope["client"][0], upstream_port)}
        exchange = _exchange(self.name, scope)
        self.record.begin(exchange)
        effect = self.faults.take(self.name, scope["method"], scope["path"])
        watched = _Watched(self, exchange, receive, send, upstream_port, effect)
        await watched.handle(scope)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        await self.app(scope, receive, send)


@define(eq=False)
class _Watched:
    """One request on its way through record and fault."""

    service: Service
    exchange: Exchange
    _receive: Receive
    _send: Send
    port: int
    effect: Effect | None

    async def handle(self, scope: dict[str, Any]) -> None:
        if self.effect is None:
            await self.service._app(scope, self.receive, self.send)  # noqa: SLF001 - its own half
            return
        if self.effect.hang or (self.effect.reset and not self.effect.handled):
            await self._vanish()
            return
        await trio.sleep(self.effect.delay)
        if self.effect.status is None:
            await self.service._app(scope, self.receive, self.send)  # noqa: SLF001 - as above
        else:
            await self._answer(self.effect)

    async def receive(self) -> dict[str, Any]:
        message = await self._receive()
        if message["type"] == "http.request":
            self.exchange.keep(message.get("body", b""))
        return message

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if self.effect is not None:
                await trio.sleep(self.effect.late)
                if self.effect.reset:
                    await self._vanish()
                    return
            self.service.record.answered(self.exchange, message["status"])
        await self._send(message)

    async def _answer(self, effect: Effect) -> None:
        headers = [(b"content-length", str(len(effect.body)).encode())]
        if effect.body:
            headers.append((b"content-type", effect.content_type.encode()))
        await self._drain()
        await self.send(
            {"type": "http.response.start", "status": effect.status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": effect.body})

    async def _drain(self) -> None:
        # A request body left unread would keep the connection from being used again.
        while (await self.receive()).get("more_body", False):
            pass

    async def _vanish(self) -> None:
        """Say nothing until the client is gone; with a reset, it is gone at once."""
        if self.effect is not None and self.effect.reset:
            self.service.front.reset(self.port)
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _exchange(server: str, scope: dict[str, Any]) -> Exchange:
    headers = {k.decode("latin1").lower(): v.decode("latin1") for k, v in scope["headers"]}
    query = scope["query_string"].decode("latin1")
    return Exchange(server, scope["method"], scope["path"], query, headers)


async def _serve(service: Service, *, task_status: trio.TaskStatus[list[str]]) -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "WARNING"
    config.include_server_header = False
    # Streams live as long as their clients; nobody waits for them at the end.
    config.graceful_timeout = 0
    config.keep_alive_timeout = 60
    await serve(service, config, mode="asgi", task_status=task_status)  # type: ignore[arg-type]
