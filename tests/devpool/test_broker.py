from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from httpx_ws import AsyncWebSocketSession, aconnect_ws

from iexec_worker.devpool.broker.frames import Frame, decode
from iexec_worker.devpool.broker.notifications import Extra, Message, Notifications
from iexec_worker.devpool.broker.sockjs import SockJs, SockJsSettings, routes
from iexec_worker.devpool.http import spring
from iexec_worker.devpool.http.faults import Faults
from iexec_worker.devpool.http.record import Record
from iexec_worker.devpool.http.service import Service
from iexec_worker.wire import Action, Cause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TASK = "0x" + 64 * "a"
TOPIC = f"/topic/task/{TASK}"
CONNECT = "CONNECT\naccept-version:1.1,1.2\nheart-beat:10000,10000\n\n\0"
SUBSCRIBE = f"SUBSCRIBE\ndestination:{TOPIC}\nid:0\n\n\0"


@pytest.fixture
def sockjs() -> SockJs:
    return SockJs(settings=SockJsSettings(heartbeat=0.1, expiry=0.3))


@pytest.fixture
async def client(sockjs: SockJs, nursery: trio.Nursery) -> AsyncIterator[httpx.AsyncClient]:
    app = spring.make_app("broker")
    app.register_blueprint(routes(lambda: sockjs))
    service = Service("broker", app, Faults(), Record())
    port = await nursery.start(service.run)
    base_url = f"http://127.0.0.1:{port}/connect"
    async with httpx.AsyncClient(
        base_url=base_url, trust_env=False, verify=False, timeout=5
    ) as client:
        yield client


async def send(client: httpx.AsyncClient, *frames: str, session: str = "s1") -> httpx.Response:
    return await client.post(f"/7/{session}/xhr_send", content=json.dumps(frames))


class Lines:
    """The lines of a stream that are no heartbeats."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.ended = False

    async def next(self, *, heartbeats: bool = False) -> str:
        with trio.fail_after(5):
            async for line in self._lines:
                if heartbeats or line != "h":
                    return line
        self.ended = True
        return "<end>"


@asynccontextmanager
async def stream(client: httpx.AsyncClient, sockjs: SockJs) -> AsyncIterator[Lines]:
    async with client.stream("POST", "/7/s1/xhr_streaming") as response:
        assert response.headers["content-type"] == "application/javascript;charset=UTF-8"
        lines = Lines(response.aiter_lines())
        yield lines
        if not lines.ended:
            # The client's generators must not be left in the middle.
            sockjs.kill()
            while await lines.next() != "<end>":
                pass


async def test_info_offers_no_websocket(client: httpx.AsyncClient) -> None:
    answer = await client.get("/info")

    info = answer.json()
    assert -(2**31) <= info.pop("entropy") < 2**31
    assert info == {"origins": ["*:*"], "cookie_needed": True, "websocket": False}
    assert answer.headers["content-type"] == "application/json;charset=UTF-8"
    assert "no-cache" in answer.headers["cache-control"]
    assert (await client.get("/1/s/websocket")).status_code == 404
    assert ((await client.get("/websocket")).status_code, answer.status_code) == (200, 200)


async def test_a_stream_begins_with_its_prelude_and_delivers_each_frame_at_once(
    client: httpx.AsyncClient, sockjs: SockJs
) -> None:
    async with stream(client, sockjs) as lines:
        assert await lines.next() == 2048 * "h"
        assert await lines.next() == "o"

        sent = await send(client, CONNECT)
        assert (sent.status_code, sent.content) == (204, b"")
        assert sent.headers["content-type"] == "text/plain;charset=UTF-8"
        (connected,) = json.loads((await lines.next())[1:])
        assert connected == "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0"
        assert await lines.next(heartbeats=True) == "h"

        await send(client, SUBSCRIBE)
        extra = Extra(block_number=42)
        Notifications(sockjs.broker).publish(Message(TASK, Action.PLEASE_REVEAL, ("0xabc",), extra))
        (text,) = json.loads((await lines.next())[1:])

    frame = decode(text)
    assert frame is not None
    assert frame.command == "MESSAGE"
    assert frame.headers == {
        "destination": TOPIC,
        "content-type": "application/json",
        "subscription": "0",
        "message-id": "s1-0",
        "content-length": str(len(frame.body)),
    }
    assert json.loads(frame.body) == {
        "chainTaskId": TASK,
        "workersAddress": ["0xabc"],
        "taskNotificationType": "PLEASE_REVEAL",
        "taskNotificationExtra": {
            "workerpoolAuthorization": None,
            "smsUrl": None,
            "blockNumber": 42,
            "taskAbortCause": None,
        },
        "taskAbortCause": "UNKNOWN",
    }


async def test_anyone_may_send_to_a_topic_and_leave_it(
    client: httpx.AsyncClient, sockjs: SockJs
) -> None:
    async with stream(client, sockjs) as lines:
        assert (await lines.next(), await lines.next()) == (2048 * "h", "o")
        await send(client, CONNECT, SUBSCRIBE, f"SEND\ndestination:{TOPIC}\n\nhello\0")

        messages = [*json.loads((await lines.next())[1:])]
        if len(messages) == 1:
            messages += json.loads((await lines.next())[1:])
        assert messages[1].endswith("\n\nhello\0")

        await send(client, "UNSUBSCRIBE\nid:0\n\n\0")
        assert sockjs.broker.publish(TOPIC, "{}") == 0


async def test_a_stream_ends_after_128_kib_and_goes_on_without_o(
    client: httpx.AsyncClient, sockjs: SockJs
) -> None:
    async with stream(client, sockjs) as lines:
        assert (await lines.next(), await lines.next()) == (2048 * "h", "o")
        await send(client, CONNECT, SUBSCRIBE)
        await lines.next()
        sockjs.broker.publish(TOPIC, 131_072 * "x")
        assert len(await lines.next()) > 131_072
        assert await lines.next() == "<end>"

    sockjs.broker.publish(TOPIC, "next")
    async with stream(client, sockjs) as lines:
        assert await lines.next() == 2048 * "h"
        assert "next" in await lines.next()


async def test_a_second_receiver_is_turned_away(client: httpx.AsyncClient, sockjs: SockJs) -> None:
    async with stream(client, sockjs) as lines:
        assert (await lines.next(), await lines.next()) == (2048 * "h", "o")

        second = await client.post("/7/s1/xhr")
        assert second.text == 'c[2010,"Another connection still open"]\n'


async def test_polling_opens_waits_and_beats(client: httpx.AsyncClient) -> None:
    assert (await client.post("/7/s1/xhr")).text == "o\n"
    await send(client, CONNECT)
    assert "CONNECTED" in (await client.post("/7/s1/xhr")).text
    assert (await client.post("/7/s1/xhr")).text == "h\n"


async def test_bad_messages_have_their_error_texts(client: httpx.AsyncClient) -> None:
    assert (await send(client, CONNECT)).status_code == 404
    await client.post("/7/s1/xhr")

    empty = await client.post("/7/s1/xhr_send")
    broken = await client.post("/7/s1/xhr_send", content=b"[")
    assert (empty.status_code, empty.text) == (500, "Payload expected.")
    assert (broken.status_code, broken.text) == (500, "Broken JSON encoding.")
    assert (await client.get("/7/s1/xhr_send")).status_code == 405
    assert (await client.options("/7/s1/xhr")).status_code == 204
    assert (await client.post("/7/a.b/xhr")).status_code == 404


async def test_connect_without_a_version_closes_the_session(client: httpx.AsyncClient) -> None:
    await client.post("/7/s1/xhr")
    await send(client, "CONNECT\n\n\0")

    assert (await client.post("/7/s1/xhr")).text.startswith('a["ERROR')
    # A closed session that is polled says so without a newline.
    assert (await client.post("/7/s1/xhr")).text == 'c[1002,""]'


async def test_a_killed_session_begins_again_with_o(
    client: httpx.AsyncClient, sockjs: SockJs
) -> None:
    async with stream(client, sockjs) as lines:
        assert (await lines.next(), await lines.next()) == (2048 * "h", "o")
        assert sockjs.kill() == 1
        assert await lines.next() == "<end>"

    assert (await send(client, CONNECT)).status_code == 404
    assert (await client.post("/7/s1/xhr")).text == "o\n"


@pytest.mark.slow
async def test_a_session_nobody_receives_expires(
    client: httpx.AsyncClient, sockjs: SockJs, nursery: trio.Nursery
) -> None:
    await client.post("/7/s1/xhr")
    with trio.move_on_after(1):
        await sockjs.sweep()

    assert (await send(client, CONNECT)).status_code == 404


async def test_a_websocket_works_where_it_is_switched_on(
    client: httpx.AsyncClient, sockjs: SockJs
) -> None:
    sockjs.settings = SockJsSettings(heartbeat=0.1, expiry=0.3, websocket=True)
    assert (await client.get("/info")).json()["websocket"] is True

    socket: AsyncWebSocketSession
    async with aconnect_ws("/1/s1/websocket", client) as socket:
        assert await socket.receive_text() == "o"
        await socket.send_text(json.dumps([CONNECT]))
        while (frame := await socket.receive_text()) == "h":
            pass
        assert frame.startswith('a["CONNECTED')


def test_frames_survive_their_escapes() -> None:
    frame = Frame("MESSAGE", {"a:b": "c\\d\ne"}, "body: \\n")

    assert decode(frame.encode()) == frame
    assert decode("\n") is None


def test_a_message_for_all_may_have_no_extra() -> None:
    message = Message(TASK, Action.PLEASE_ABORT, (), Extra(abort_cause=Cause.CONTRIBUTION_TIMEOUT))

    assert message.as_json()["taskAbortCause"] == "CONTRIBUTION_TIMEOUT"
    assert Message(TASK, Action.PLEASE_COMPLETE).as_json()["taskNotificationExtra"] is None
