"""SockJS as the scheduler's endpoint `/connect` speaks it."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field, frozen
from quart import Blueprint, Response, request, websocket

from iexec_worker.devpool.broker.session import Session, close_frame
from iexec_worker.devpool.broker.stomp import SimpleBroker
from iexec_worker.devpool.http import spring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_PRELUDE: Final = 2048 * "h" + "\n"
_STREAM_LIMIT: Final = 128 * 1024
_ANOTHER: Final = close_frame(2010, "Another connection still open")
_SCRIPT: Final = "application/javascript;charset=UTF-8"
_TEXT: Final = "text/plain;charset=UTF-8"
_NO_CACHE: Final = "no-store, no-cache, must-revalidate, max-age=0"


@frozen
class SockJsSettings:
    """Times in seconds. *heartbeat*: silence before an `h`; *expiry*: life without a receiver."""

    heartbeat: float = 5.0
    expiry: float = 5.0
    websocket: bool = False


@define(eq=False)
class SockJs:
    """
    The sessions of one scheduler process.

    *silent*: streams stay open but nothing is written, as on a link that died unnoticed.
    """

    broker: SimpleBroker = field(factory=SimpleBroker)
    settings: SockJsSettings = field(factory=SockJsSettings)
    silent: bool = False
    sessions: dict[str, Session] = field(factory=dict, init=False)

    async def sweep(self) -> None:
        """Kill sessions nobody receives any more, until cancelled."""
        while True:
            await trio.sleep(self.settings.expiry)
            latest = trio.current_time() - self.settings.expiry
            for session in list(self.sessions.values()):
                if not session.receiving and session.left_at <= latest:
                    self.forget(session)

    def kill(self) -> int:
        """Forget all sessions as a restarted server does; how many there were."""
        sessions = list(self.sessions.values())
        for session in sessions:
            self.forget(session)
            session.kill()
        return len(sessions)

    def close(self, code: int, reason: str) -> None:
        """Close all sessions with a frame that says so."""
        for session in list(self.sessions.values()):
            session.close(code, reason)

    def forget(self, session: Session) -> None:
        """Know nothing of *session* any more."""
        if self.sessions.get(session.id) is session:
            del self.sessions[session.id]
            self.broker.forget(session)

    def session(self, key: str, peer: str) -> Session | None:
        """The session of that id, made if unknown; None when it belongs to another client."""
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = Session(key, peer)
            self.broker.connect(session)
        return session if session.peer == peer else None

    async def stream(self, session: Session) -> AsyncIterator[bytes]:
        """The frames of one `xhr_streaming` request."""
        yield _PRELUDE.encode()
        if session.receiving:
            yield _line(_ANOTHER)
            return
        with session.receiver():
            written = 0
            while written < _STREAM_LIMIT:
                frame = await self.next_frame(session)
                if frame is None:
                    return
                written += len(frame) if frame.startswith("a") else 0
                yield _line(frame)
                if frame.startswith("c"):
                    return

    async def poll(self, session: Session) -> bytes:
        """The answer to one `xhr` request."""
        if session.receiving:
            return _line(_ANOTHER)
        if session.closed is not None and not session.waiting:
            return session.closed.encode()
        with session.receiver():
            frame = await self.next_frame(session)
        return b"" if frame is None else _line(frame)

    async def next_frame(self, session: Session) -> str | None:
        """The next frame to write; None when the session was lost."""
        if not session.opened:
            session.opened = True
            return "o"
        while True:
            with trio.move_on_after(self.settings.heartbeat):
                await session.something()
            if session.lost:
                return None
            if self.silent:
                await trio.sleep(self.settings.heartbeat)
                continue
            if messages := session.take():
                return "a" + json.dumps(messages)
            if session.closed is not None:
                return session.closed
            return "h"

    def received(self, session: Session, payload: bytes) -> str | None:
        """Take messages of the client; the text of the error when there are none."""
        if not payload:
            return "Payload expected."
        try:
            messages = json.loads(payload)
        except ValueError:
            return "Broken JSON encoding."
        if not isinstance(messages, list) or not all(isinstance(m, str) for m in messages):
            return "Broken JSON encoding."
        for message in messages:
            session.deliver(message)
        return None


def _line(frame: str) -> bytes:
    return (frame + "\n").encode()


def routes(sockjs: Callable[[], SockJs]) -> Blueprint:
    """The routes below `/connect`; *sockjs* gives the sessions of the process that runs now."""
    connect = Blueprint("connect", __name__, url_prefix="/connect")

    @connect.get("")
    @connect.get("/")
    async def greeting() -> Response:
        return Response("Welcome to SockJS!\n", content_type=_TEXT)

    @connect.route("/info", methods=["GET"], provide_automatic_options=False)
    async def info() -> Response:
        return _info(websocket=sockjs().settings.websocket)

    @connect.get("/websocket")
    async def raw() -> Response:
        return Response("", status=200, content_type=_TEXT)

    @connect.route("/<srv>/<key>/xhr_streaming", methods=["POST"], provide_automatic_options=False)
    async def xhr_streaming(srv: str, key: str) -> Response:
        server = sockjs()
        session = _own(server, srv, key)
        if session is None:
            return Response("", status=404)
        response = _script(server.stream(session))
        response.timeout = None
        return response

    @connect.route("/<srv>/<key>/xhr", methods=["POST"], provide_automatic_options=False)
    async def xhr(srv: str, key: str) -> Response:
        server = sockjs()
        session = _own(server, srv, key)
        if session is None:
            return Response("", status=404)
        return _script(await server.poll(session))

    @connect.route("/<srv>/<key>/xhr_send", methods=["POST"], provide_automatic_options=False)
    async def xhr_send(srv: str, key: str) -> Response:  # noqa: ARG001 - the route's
        return await _send(sockjs(), key)

    @connect.route("/info", methods=["OPTIONS"], provide_automatic_options=False)
    @connect.route("/<srv>/<key>/<transport>", methods=["OPTIONS"], provide_automatic_options=False)
    async def options(**_: str) -> Response:
        return Response("", status=204, content_type="")

    _websocket_route(connect, sockjs)
    return connect


def _info(*, websocket: bool) -> Response:
    answer = {
        "entropy": random.randint(-(2**31), 2**31 - 1),
        "origins": ["*:*"],
        "cookie_needed": True,
        "websocket": websocket,
    }
    text = json.dumps(answer, separators=(",", ":"))
    response = Response(text, content_type="application/json;charset=UTF-8")
    response.headers["Cache-Control"] = _NO_CACHE
    return response


def _own(server: SockJs, srv: str, key: str) -> Session | None:
    if "." in srv or "." in key:
        return None
    return server.session(key, request.remote_addr or "")


async def _send(server: SockJs, key: str) -> Response:
    session = server.sessions.get(key)
    if session is None or session.peer != (request.remote_addr or ""):
        return Response("", status=404)
    error = server.received(session, await spring.payload())
    if error is not None:
        return Response(error, status=500, content_type=_TEXT)
    return Response("", status=204, content_type=_TEXT)


def _script(body: AsyncIterator[bytes] | bytes) -> Response:
    response = Response(body, content_type=_SCRIPT)
    response.headers["Cache-Control"] = _NO_CACHE
    return response


def _websocket_route(connect: Blueprint, sockjs: Callable[[], SockJs]) -> None:
    @connect.get("/<srv>/<key>/websocket")
    async def no_websocket(srv: str, key: str) -> Response:  # noqa: ARG001 - the route's
        return Response("", status=404)

    @connect.websocket("/<srv>/<key>/websocket")
    async def over_websocket(srv: str, key: str) -> Response | None:  # noqa: ARG001 - as above
        server = sockjs()
        if not server.settings.websocket:
            return Response("", status=404)
        session = server.session(key, websocket.remote_addr or "")
        if session is not None:
            await websocket.accept()
            await _talk(server, session)
        return None


async def _talk(server: SockJs, session: Session) -> None:
    async with trio.open_nursery() as nursery:
        with session.receiver():
            nursery.start_soon(_listen, server, session, websocket.receive)
            while (frame := await server.next_frame(session)) is not None:
                await websocket.send(frame)
                if frame.startswith("c"):
                    break
        nursery.cancel_scope.cancel()
    server.forget(session)


async def _listen(
    server: SockJs, session: Session, receive: Callable[[], Awaitable[str | bytes]]
) -> None:
    while True:
        text = await receive()
        if server.received(session, text.encode() if isinstance(text, str) else text) is not None:
            session.close(1007, "")
            return
