from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs

from iexec_worker.errors import Unavailable
from iexec_worker.scheduler.conversation import Limits
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.link import Link
from iexec_worker.scheduler.subscriptions import Subscriptions
from iexec_worker.wire import Action, Cause
from tests.scheduler.conftest import TASK, WALLET, FakeBroker, message_frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from iexec_worker.model import Notification
    from tests.scheduler.conftest import ServeRaw

TRANSPORTS = ["xhr_streaming", "xhr", "websocket"]
OTHER = "0x" + "2" * 64

#: For tests in which one of these times passes.
QUICK = Limits(silence=0.4, handshake=0.3, goodbye=0.3)


def news(task_id: str = TASK, **other: object) -> dict[str, Any]:
    return {
        "chainTaskId": task_id,
        "workersAddress": [WALLET],
        "taskNotificationType": "PLEASE_REVEAL",
        "taskNotificationExtra": {
            "workerpoolAuthorization": None,
            "smsUrl": None,
            "blockNumber": 42,
            "taskAbortCause": None,
        },
        "taskAbortCause": "UNKNOWN",
    } | other


@pytest.fixture
def link(broker: FakeBroker, client: httpx.AsyncClient) -> Link:
    return Link(client, broker.url, WALLET, Subscriptions(), Gate())


def only_through(broker: FakeBroker, transport: str) -> None:
    broker.websocket = transport == "websocket"
    if transport == "xhr":
        broker.status["xhr_streaming"] = 404


@asynccontextmanager
async def running(link: Link) -> AsyncIterator[trio.CancelScope]:
    """The link is up within the block and cancelled after it."""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(link.run)
            yield nursery.cancel_scope
            nursery.cancel_scope.cancel()


async def until_lost(link: Link) -> str:
    """Run *link* until it ends; returns why."""
    with trio.fail_after(10), pytest.raises(Unavailable) as caught:
        await link.run()
    assert not link.gate.is_open
    assert link.transport == ""
    return str(caught.value)


async def received(inbox: trio.MemoryReceiveChannel[Notification]) -> Notification:
    with trio.fail_after(5):
        return await inbox.receive()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_notification_arrives(broker: FakeBroker, link: Link, transport: str) -> None:
    only_through(broker, transport)

    with link.subscriptions.open(TASK) as inbox:
        async with running(link):
            assert link.transport == transport
            await broker.until(lambda: broker.subscribed(TASK))
            broker.publish(news())
            notification = await received(inbox)

    assert notification.action is Action.PLEASE_REVEAL
    assert notification.block_number == 42


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_notification_takes_less_than_20_ms(
    broker: FakeBroker, link: Link, transport: str
) -> None:
    only_through(broker, transport)
    times = []

    with link.subscriptions.open(TASK) as inbox:
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK))
            for _ in range(9):
                published = trio.current_time()
                broker.publish(news())
                await received(inbox)
                times.append(trio.current_time() - published)

    # The median: these two cores are shared.
    assert sorted(times)[4] < 0.02


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_topics_follow_the_subscriptions_while_connected(
    broker: FakeBroker, link: Link, transport: str
) -> None:
    only_through(broker, transport)

    async with running(link):
        with link.subscriptions.open(TASK), link.subscriptions.open(OTHER):
            await broker.until(lambda: broker.subscribed(TASK) and broker.subscribed(OTHER))
        await broker.until(lambda: not broker.last.topics)
        with link.subscriptions.open(TASK) as inbox:
            await broker.until(lambda: broker.subscribed(TASK))
            broker.publish(news())
            assert (await received(inbox)).chain_task_id == TASK


async def test_started_and_the_gate_come_after_all_subscriptions(
    broker: FakeBroker, link: Link
) -> None:
    states = [link.gate.is_open]

    with link.subscriptions.open(TASK), link.subscriptions.open(OTHER):
        async with running(link):
            states.append(link.gate.is_open)
            assert broker.subscribed(TASK)
            assert broker.subscribed(OTHER)
        states.append(link.gate.is_open)

    assert states == [False, True, False]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cancelling_says_goodbye_and_leaves_no_connection(
    broker: FakeBroker, link: Link, transport: str
) -> None:
    only_through(broker, transport)

    async with running(link):
        pass

    await broker.until(lambda: broker.receiving == 0)
    if transport != "websocket":  # There, closing the connection says it.
        assert broker.stomp[-1].startswith("DISCONNECT\n")


@pytest.mark.slow
async def test_cancelling_is_quick_when_the_server_takes_no_goodbye(
    client: httpx.AsyncClient, serve_raw: ServeRaw
) -> None:
    sent = 0

    async def mute(stream: trio.SocketStream) -> None:
        nonlocal sent
        buffer = b""
        while data := await stream.receive_some():
            buffer += data
            if buffer.startswith(b"GET"):
                await stream.send_all(http(b'{"websocket":false}'))
            elif b"/xhr_send" in buffer:
                sent += 1
                if sent > 1:
                    await trio.sleep_forever()
                await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                await stream.send_all(STREAMING + chunk(b"o\n"))
                await trio.sleep(0.1)
                await stream.send_all(chunk(CONNECTED))
            buffer = b""

    link = Link(client, await serve_raw(mute), WALLET, Subscriptions(), Gate(), QUICK)
    async with running(link):
        began = trio.current_time()

    assert 0.2 < trio.current_time() - began < 1.5


async def test_a_stream_that_ends_is_asked_for_again_in_the_same_session(
    broker: FakeBroker, link: Link
) -> None:
    broker.limit = 1000

    with link.subscriptions.open(TASK) as inbox:
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK))
            for number in range(20):
                broker.publish(news(taskNotificationExtra={"blockNumber": number}))
                assert (await received(inbox)).block_number == number

    assert len(broker.sessions) == 1
    assert broker.posts.count("xhr_streaming") > 5


async def test_128_kib_pass_through_a_real_limit(broker: FakeBroker, link: Link) -> None:
    filler = "x" * 10_000

    with link.subscriptions.open(TASK) as inbox:
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK))
            for number in range(30):
                extra = {"blockNumber": number, "filler": filler}
                broker.publish(news(taskNotificationExtra=extra))
                assert (await received(inbox)).block_number == number

    assert broker.posts.count("xhr_streaming") == 3


@pytest.mark.slow
async def test_answers_of_nothing_are_not_asked_for_in_a_loop(
    broker: FakeBroker, link: Link
) -> None:
    async with running(link):
        broker.limit = 0
        broker.last.frames.send_nowait("h")
        await broker.until(lambda: broker.receiving == 0)
        await trio.sleep(0.3)

    assert broker.posts.count("xhr_streaming") == 2


async def test_polling_takes_over_when_streaming_is_refused(broker: FakeBroker, link: Link) -> None:
    broker.status["xhr_streaming"] = 500

    async with running(link):
        assert link.transport == "xhr"


@pytest.mark.slow
async def test_polling_takes_over_when_a_proxy_buffers(broker: FakeBroker, link: Link) -> None:
    broker.buffering = True
    link.limits = attrs.evolve(QUICK, handshake=1.0)

    with capture_logs() as logs:
        async with running(link):
            assert link.transport == "xhr"

    (line,) = [line for line in logs if line["event"] == "a transport does not deliver"]
    assert line["transport"] == "xhr_streaming"
    assert line["reason"].endswith("no session through xhr_streaming within 1 s")


async def test_xhr_takes_over_when_the_websocket_that_was_offered_fails(
    broker: FakeBroker, link: Link
) -> None:
    broker.websocket = True
    broker.status["websocket"] = 400

    async with running(link):
        assert link.transport == "xhr_streaming"
    assert broker.posts[:2] == ["websocket", "xhr_streaming"]


async def test_no_transport_at_all_is_one_clear_error(broker: FakeBroker, link: Link) -> None:
    broker.status |= {"xhr_streaming": 403, "xhr": 403}

    assert "/xhr: answered 403" in await until_lost(link)
    assert broker.posts == ["xhr_streaming", "xhr"]


@pytest.mark.slow
async def test_a_broker_that_never_says_connected(broker: FakeBroker, link: Link) -> None:
    broker.answers_connect = False
    link.limits = QUICK

    assert "no CONNECTED through xhr within 0.3 s" in await until_lost(link)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ('c[3000,"Go away!"]', "the session was closed: 3000 'Go away!'"),
        ("o", "the server opened the session anew"),
        ("<html>", "malformed SockJS frame '<html>'"),
        ('a["', "malformed SockJS frame"),
        ('a["ERROR\\nmessage:Session closed.\\n\\n\\u0000"]', "the broker gave up: 'Session"),
    ],
)
async def test_frames_that_end_a_link(
    broker: FakeBroker, link: Link, transport: str, frame: str, why: str
) -> None:
    only_through(broker, transport)

    async def end() -> None:
        await broker.until(lambda: broker.subscribed(TASK))
        broker.last.frames.send_nowait(frame)

    with link.subscriptions.open(TASK):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end)
            assert why in await until_lost(link)
    await broker.until(lambda: broker.receiving == 0)


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_silence_ends_a_link(broker: FakeBroker, link: Link, transport: str) -> None:
    only_through(broker, transport)
    broker.heartbeat = 3600
    link.limits = QUICK

    began = trio.current_time()
    assert f"nothing on the {transport} link for 0.4 s" in await until_lost(link)

    assert 0.4 <= trio.current_time() - began < 2


@pytest.mark.slow
async def test_heartbeats_keep_a_link(broker: FakeBroker, link: Link) -> None:
    broker.heartbeat = 0.1
    link.limits = QUICK

    async with running(link) as scope:
        await trio.sleep(0.8)
        assert not scope.cancel_called
        assert link.gate.is_open


async def test_a_session_that_the_server_forgot_is_lost_on_sending(
    broker: FakeBroker, link: Link
) -> None:
    async def forget() -> None:
        await link.gate.wait_open()
        broker.sessions.clear()
        with link.subscriptions.open(TASK):
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(forget)
        assert "xhr_send: 404, the server does not know this session" in await until_lost(link)
        nursery.cancel_scope.cancel()


async def test_a_session_that_the_server_forgot_is_lost_on_asking_again(
    broker: FakeBroker, link: Link
) -> None:
    broker.limit = 10

    async def forget() -> None:
        await link.gate.wait_open()
        broker.amnesia = True
        broker.last.frames.send_nowait("h" * 12)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(forget)
        assert "opened the session anew" in await until_lost(link)


async def test_a_new_link_subscribes_to_everything_again(broker: FakeBroker, link: Link) -> None:
    with link.subscriptions.open(TASK) as inbox, link.subscriptions.open(OTHER):
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK) and broker.subscribed(OTHER))
        async with running(link):
            assert broker.subscribed(TASK)
            assert broker.subscribed(OTHER)
            broker.publish(news())
            assert (await received(inbox)).chain_task_id == TASK

    assert len(broker.sessions) == 2


async def test_messages_for_others_and_nobody_are_ignored(broker: FakeBroker, link: Link) -> None:
    with link.subscriptions.open(TASK) as inbox, capture_logs() as logs:
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK))
            broker.publish(news(workersAddress=["0x" + "cd" * 20]))
            broker.publish(news(workersAddress=None))
            broker.publish(
                news(
                    workersAddress=[],
                    taskNotificationType="PLEASE_ABORT",
                    taskNotificationExtra=None,
                    taskAbortCause="CONSENSUS_REACHED",
                )
            )
            notification = await received(inbox)

    assert notification.action is Action.PLEASE_ABORT
    assert notification.abort_cause is Cause.CONSENSUS_REACHED
    assert not [line for line in logs if line["log_level"] == "warning"]


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[" * 60_000,
        '"\\ud800"',
        "7",
        news(taskNotificationType="PLEASE_DANCE"),
        news(taskNotificationType=["PLEASE_REVEAL"]),
        news(chainTaskId="0x1"),
        news(OTHER),
        news(workersAddress="0x"),
        news(taskNotificationExtra=[]),
        news(taskNotificationExtra={"blockNumber": 1e300}),
    ],
    ids=range(11),
)
async def test_a_message_that_cannot_be_read_costs_one_warning(
    broker: FakeBroker, link: Link, body: object
) -> None:
    with link.subscriptions.open(TASK) as inbox, capture_logs() as logs:
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK))
            broker.publish(body)
            broker.publish(news())
            assert (await received(inbox)).block_number == 42

    assert len([line for line in logs if line["log_level"] == "warning"]) == 1


async def test_a_frame_that_is_not_stomp_costs_one_warning(broker: FakeBroker, link: Link) -> None:
    with link.subscriptions.open(TASK) as inbox, capture_logs() as logs:
        async with running(link):
            await broker.until(lambda: broker.subscribed(TASK))
            broker.last.push("HELLO\n\n\0", message_frame(f"/topic/task/{TASK}", "0", "{"), "")
            broker.publish(news())
            await received(inbox)

    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert [line["event"] for line in warnings] == ["unreadable message ignored"] * 3
    assert all(line["text"].isprintable() for line in warnings)


async def test_nobody_listening_is_unavailable(client: httpx.AsyncClient) -> None:
    link = Link(client, "http://127.0.0.1:1", WALLET, Subscriptions(), Gate())

    assert "GET http://127.0.0.1:1/connect/info: ConnectError" in await until_lost(link)


STREAMING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONNECTED = b'a["CONNECTED\\nversion:1.2\\n\\n\\u0000"]\n'


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (http(b"<html>"), "HTML instead of JSON"),
        (http(b"", b"404 Not Found"), "404"),
        (http(b"", b"503 Service Unavailable"), "503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "RemoteProtocolError"),
        (b"", "RemoteProtocolError"),
    ],
)
async def test_a_server_without_sockjs_is_unavailable(
    client: httpx.AsyncClient, serve_raw: ServeRaw, info: bytes, why: str
) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(info)
        await stream.aclose()

    link = Link(client, await serve_raw(answer), WALLET, Subscriptions(), Gate())

    assert why in await until_lost(link)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [b"", b"zz\r\nnot a chunk\r\n", chunk(b"\xff\xfe\n"), chunk(b"a[1]\n"), b"0\r\n\r\n"],
    ids=["reset", "bad chunk", "bad utf-8", "bad frame", "end"],
)
async def test_a_stream_that_breaks_off_ends_the_link(
    client: httpx.AsyncClient, serve_raw: ServeRaw, end: bytes
) -> None:
    gate = Gate()

    async def answer(stream: trio.SocketStream) -> None:
        asked = await stream.receive_some()
        if asked.startswith(b"GET"):
            await stream.send_all(http(b'{"websocket":false}'))
        elif b"/xhr_send" in asked:
            await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            await stream.send_all(STREAMING + chunk(b"o\n" + CONNECTED))
            await gate.wait_open()
            await stream.send_all(end)
        await stream.aclose()

    link = Link(client, await serve_raw(answer), WALLET, Subscriptions(), gate, QUICK)

    assert await until_lost(link)


@pytest.mark.parametrize(
    "end",
    [b"", b"\xff\xff\xff", b"\x88\x02\x03\xe8", b"\x81\x01x", b"\x89\x00\x81\x01\xff"],
    ids=["reset", "bad frame", "close", "bad sockjs", "ping, bad utf-8"],
)
async def test_a_websocket_that_breaks_off_ends_the_link(
    client: httpx.AsyncClient, serve_raw: ServeRaw, end: bytes
) -> None:
    from wsproto.utilities import generate_accept_token

    gate = Gate()

    async def answer(stream: trio.SocketStream) -> None:
        asked = await stream.receive_some()
        if b"/connect/info" in asked:
            await stream.send_all(http(b'{"websocket":true}'))
        else:
            headers = dict(line.split(b": ", 1) for line in asked.split(b"\r\n") if b": " in line)
            names = {name.lower(): value for name, value in headers.items()}
            accept = generate_accept_token(names[b"sec-websocket-key"])
            await stream.send_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x01o"
            )
            await stream.receive_some()
            # In two fragments.
            await stream.send_all(b"\x01%c%s" % (4, CONNECTED[:4]))
            await stream.send_all(b"\x80%c%s" % (len(CONNECTED) - 5, CONNECTED[4:-1]))
            await gate.wait_open()
            await stream.send_all(end)
        await stream.aclose()

    link = Link(client, await serve_raw(answer), WALLET, Subscriptions(), gate)

    assert await until_lost(link)
