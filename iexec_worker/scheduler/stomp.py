"""
STOMP frames for the pool's broker, and what it sends. Sans-IO, on the codec of `stompman`.

Each SockJS message is one whole frame, so that one that cannot be read spoils no other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from attrs import frozen
from stompman import (
    ConnectedFrame,
    ConnectFrame,
    DisconnectFrame,
    ErrorFrame,
    FrameParser,
    HeartbeatFrame,
    MessageFrame,
    ReceiptFrame,
    SubscribeFrame,
    UnsubscribeFrame,
    dump_frame,
)

if TYPE_CHECKING:
    from stompman.frames import ConnectHeaders

_TOPIC: Final = "/topic/task/"


@frozen
class Connected:
    """The broker accepted us."""


@frozen
class Message:
    """Something was published on the topic of *task_id*; *body* is its JSON, already parsed."""

    task_id: str
    body: object


@frozen
class Error:
    """The broker gave us up; it closes the connection next."""

    text: str


@frozen
class Ignorable:
    """A beat or a receipt: nothing to do."""


Received = Connected | Message | Error | Ignorable


def connect() -> str:
    """
    Introduce ourselves. Spring's broker wants `accept-version` and no `host`.

    We neither promise nor expect STOMP's own heart-beats: SockJS has its own.
    """
    headers = cast("ConnectHeaders", {"accept-version": "1.1,1.2", "heart-beat": "0,0"})
    return _text(ConnectFrame(headers=headers))


def subscribe(number: int, task_id: str) -> str:
    """Listen to the topic of *task_id*; *number* names the subscription. Never acknowledged."""
    return _text(SubscribeFrame(headers={"id": str(number), "destination": _TOPIC + task_id}))


def unsubscribe(number: int) -> str:
    return _text(UnsubscribeFrame(headers={"id": str(number)}))


def disconnect() -> str:
    return _text(DisconnectFrame(headers={}))


def _text(frame: ConnectFrame | SubscribeFrame | UnsubscribeFrame | DisconnectFrame) -> str:
    return dump_frame(frame).decode()


def parse(text: str) -> Received:
    """Read one SockJS message; raises ValueError when it is no frame a broker sends."""
    if text and not text.strip("\r\n"):
        return Ignorable()
    # "surrogatepass": JSON may hold half a character; what comes of it is no JSON, not a crash.
    frames = list(FrameParser().parse_frames_from_chunk(text.encode(errors="surrogatepass")))
    # A line end after a frame reads as a beat, and so does an unknown command.
    match [frame for frame in frames if not isinstance(frame, HeartbeatFrame)]:
        case [ConnectedFrame()]:
            return Connected()
        case [MessageFrame(headers=headers, body=body)]:
            return Message(_task_of(headers.get("destination", "")), _json(body))
        case [ErrorFrame(headers=headers, body=body)]:
            return Error(headers.get("message") or body.decode(errors="replace"))
        case [ReceiptFrame()]:
            return Ignorable()
    raise ValueError("no STOMP frame that a broker sends")


def _task_of(destination: str) -> str:
    if not destination.startswith(_TOPIC):
        raise ValueError("a STOMP message of another topic")
    return destination.removeprefix(_TOPIC)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error
