"""A scheduler small enough to read: scripted REST answers, and a SockJS endpoint with a broker."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
import trio
from attrs import define, field, frozen
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request, websocket
from quart_trio import QuartTrio

from iexec_worker.scheduler.api import SchedulerApi
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.session import Session

WALLET = "0x" + "ab" * 20
TASK = "0x" + "1" * 64

Serve = Callable[[QuartTrio], Awaitable[str]]
RawHandler = Callable[[trio.SocketStream], Awaitable[None]]
ServeRaw = Callable[[RawHandler], Awaitable[str]]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    # Loading certificates, of which these tests need none, would take most of their time.
    async with httpx.AsyncClient(verify=False) as client:
        yield client


@pytest.fixture
async def serve_app(nursery: trio.Nursery) -> Serve:
    async def start(app: QuartTrio) -> str:
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.errorlog = None
        urls: list[str] = await nursery.start(serve, app, config)
        return urls[0]

    return start


@pytest.fixture
async def serve_raw(nursery: trio.Nursery) -> ServeRaw:
    async def start(handler: RawHandler) -> str:
        async def quietly(stream: trio.SocketStream) -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await handler(stream)

        listeners = await nursery.start(trio.serve_tcp, quietly, 0)
        return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"

    return start


@frozen
class Call:
    method: str
    path: str
    query: dict[str, str]
    token: str
    body: Any


@frozen
class Reply:
    """*wait*: the answer is held back until then."""

    code: int = 200
    body: str = ""
    kind: str = "text/plain;charset=UTF-8"
    wait: trio.Event | None = None


@define
class FakeRest:
    """Gives the scripted replies of a path in turn, the last one for ever."""

    url: str = ""
    calls: list[Call] = field(factory=list)
    _script: dict[str, list[Reply]] = field(factory=dict)

    def on(self, path: str, *replies: Reply | str | int) -> None:
        self._script[path] = [_reply(reply) for reply in replies]

    def called(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    async def answer(self, path: str) -> Response:
        text = str(await request.get_data(as_text=True))
        token = request.headers.get("Authorization", "")
        body = json.loads(text) if text else None
        self.calls.append(Call(request.method, path, dict(request.args), token, body))
        script = self._script[path]
        reply = script.pop(0) if len(script) > 1 else script[0]
        if reply.wait is not None:
            await reply.wait.wait()
        return Response(reply.body, reply.code, content_type=reply.kind)


def _reply(reply: Reply | str | int) -> Reply:
    if isinstance(reply, int):
        return Reply(code=reply)
    return Reply(body=reply) if isinstance(reply, str) else reply


@pytest.fixture
async def rest(serve_app: Serve) -> FakeRest:
    app, rest = QuartTrio(__name__), FakeRest()

    @app.route("/<path:path>", methods=["GET", "POST"])
    async def answer(path: str) -> Response:
        return await rest.answer("/" + path)

    rest.url = await serve_app(app)
    rest.on("/workers/challenge", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    rest.on("/workers/login", "token-1", "token-2", "token-3")
    return rest


@pytest.fixture
def api(rest: FakeRest, client: httpx.AsyncClient) -> SchedulerApi:
    return SchedulerApi(client, rest.url)


@pytest.fixture
def session(api: SchedulerApi) -> Session:
    gate = Gate()
    gate.open()
    return Session(api, WALLET, lambda challenge: f"signed {challenge}", gate)


@define
class SockJsSession:
    """The frames that wait for the client, and what it subscribed to."""

    frames: trio.MemorySendChannel[str]
    waiting: trio.MemoryReceiveChannel[str]
    opened: bool = False
    topics: dict[str, str] = field(factory=dict)

    @classmethod
    def new(cls) -> SockJsSession:
        return cls(*trio.open_memory_channel[str](10_000))

    def push(self, *texts: str) -> None:
        self.frames.send_nowait("a" + json.dumps(texts))


@define
class FakeBroker:
    """A SockJS endpoint with a simple broker; the fields say how it (mis)behaves."""

    url: str = ""
    websocket: bool = False
    #: Bytes after which a streaming answer ends.
    limit: int = 128 * 1024
    heartbeat: float = 5.0
    #: Status of the POSTs for receiving.
    status: dict[str, int] = field(factory=dict)
    #: A proxy that hands an answer on when it is complete.
    buffering: bool = False
    answers_connect: bool = True
    #: The server forgot its sessions.
    amnesia: bool = False

    sessions: dict[str, SockJsSession] = field(factory=dict)
    receiving: int = 0
    posts: list[str] = field(factory=list)
    stomp: list[str] = field(factory=list)
    _news: trio.Event = field(factory=trio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once *condition* holds; looked at whenever something happened here."""
        with trio.fail_after(5):
            while not condition():
                await self._news.wait()

    def happened(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def session(self, name: str) -> SockJsSession:
        return self.sessions.setdefault(name, SockJsSession.new())

    @property
    def last(self) -> SockJsSession:
        return list(self.sessions.values())[-1]

    def subscribed(self, task_id: str) -> bool:
        topic = f"/topic/task/{task_id}"
        return bool(self.sessions) and topic in self.last.topics.values()

    def publish(self, body: object, task_id: str = TASK) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        for session in self.sessions.values():
            for number, topic in session.topics.items():
                if topic == f"/topic/task/{task_id}":
                    session.push(message_frame(topic, number, text))

    def take(self, session: SockJsSession, texts: list[str]) -> None:
        for text in texts:
            self.stomp.append(text)
            headers = dict(re.findall(r"^([a-z-]+):(.*)$", text, re.MULTILINE))
            if text.startswith("CONNECT\n") and self.answers_connect:
                assert headers["accept-version"] == "1.1,1.2"
                assert "host" not in headers
                session.push("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0")
            elif text.startswith("SUBSCRIBE\n"):
                session.topics[headers["id"]] = headers["destination"]
            elif text.startswith("UNSUBSCRIBE\n"):
                del session.topics[headers["id"]]
        self.happened()

    async def next_frame(self, session: SockJsSession) -> str:
        with trio.move_on_after(self.heartbeat):
            return await session.waiting.receive()
        return "h"

    async def stream(self, session: SockJsSession) -> AsyncIterator[bytes]:
        self.receiving += 1
        self.happened()
        try:
            yield b"h" * 2048 + b"\n"
            if not session.opened or self.amnesia:
                session.opened = True
                yield b"o\n"
            sent = 0
            while sent < self.limit:
                data = (await self.next_frame(session)).encode() + b"\n"
                sent += len(data)
                yield data
        finally:
            self.receiving -= 1
            self.happened()


def message_frame(topic: str, number: str, body: str) -> str:
    return (
        f"MESSAGE\ndestination:{topic}\ncontent-type:application/json\nsubscription:{number}\n"
        f"message-id:abc-0\ncontent-length:{len(body.encode())}\n\n{body}\0"
    )


@pytest.fixture
async def broker(serve_app: Serve) -> FakeBroker:
    broker = FakeBroker()
    broker.url = await serve_app(broker_app(broker))
    return broker


def broker_app(broker: FakeBroker) -> QuartTrio:
    app = QuartTrio(__name__)

    @app.get("/connect/info")
    async def info() -> dict[str, object]:
        answer: dict[str, object] = {"entropy": -1, "origins": ["*:*"], "cookie_needed": True}
        return answer | {"websocket": broker.websocket}

    _serve_receiving(app, broker)
    _serve_sending(app, broker)
    _serve_websocket(app, broker)
    return app


def _serve_receiving(app: QuartTrio, broker: FakeBroker) -> None:
    @app.post("/connect/<server>/<name>/xhr_streaming")
    async def xhr_streaming(server: str, name: str) -> Response:
        broker.posts.append("xhr_streaming")
        if "xhr_streaming" in broker.status:
            return Response("", broker.status["xhr_streaming"])
        if broker.buffering:
            await trio.sleep_forever()
        response = Response(broker.stream(broker.session(name)))
        response.timeout = None
        return response

    @app.post("/connect/<server>/<name>/xhr")
    async def xhr(server: str, name: str) -> Response:
        broker.posts.append("xhr")
        if "xhr" in broker.status:
            return Response("", broker.status["xhr"])
        session = broker.session(name)
        if not session.opened:
            session.opened = True
            return Response("o\n")
        return Response(await broker.next_frame(session) + "\n")


def _serve_sending(app: QuartTrio, broker: FakeBroker) -> None:
    @app.post("/connect/<server>/<name>/xhr_send")
    async def xhr_send(server: str, name: str) -> Response:
        if name not in broker.sessions or "xhr_send" in broker.status:
            return Response("", broker.status.get("xhr_send", 404))
        broker.take(broker.sessions[name], await request.get_json())
        return Response("", 204)


def _serve_websocket(app: QuartTrio, broker: FakeBroker) -> None:
    @app.websocket("/connect/<server>/<name>/websocket")
    async def connected(server: str, name: str) -> Response | None:
        broker.posts.append("websocket")
        if "websocket" in broker.status:
            return Response("", broker.status["websocket"])
        session = broker.session(name)
        broker.receiving += 1

        async def send() -> None:
            await websocket.send("o")
            while True:
                await websocket.send(await broker.next_frame(session))

        try:
            async with trio.open_nursery() as sending:
                sending.start_soon(send)
                while True:
                    broker.take(session, json.loads(await websocket.receive()))
        finally:
            broker.receiving -= 1
            broker.happened()
