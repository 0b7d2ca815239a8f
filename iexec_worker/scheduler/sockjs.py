"""
SockJS frames ↔ events. Sans-IO.

Over HTTP a frame is a line: `o` open, `h` heartbeat, `a["…"]` messages, `c[code,"reason"]` close.
A streaming answer begins with a prelude of 2048 × `h`. Over WebSocket a frame is a text message.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Bytes without the end of a line that cannot be a frame: the pool's messages are below 64 KiB,
#: a poll may carry a few dozen of them.
LONGEST_FRAME: Final = 4 * 1024 * 1024


@frozen
class Opened:
    """The server made the session."""


@frozen
class Heartbeat:
    """The server is there (the prelude says no more than that either)."""


@frozen
class Messages:
    """What was sent to us, in order."""

    texts: tuple[str, ...]


@frozen
class Closed:
    """The server ended the session."""

    code: int
    reason: str


@frozen
class Malformed:
    """Something that is no frame. *problem* is for a person."""

    problem: str


Event = Opened | Heartbeat | Messages | Closed | Malformed


def decode(frame: str) -> Event:
    """Return the event that one *frame*, without its line end, stands for."""
    kind, payload = frame[:1], frame[1:]
    if kind == "o" and not payload:
        return Opened()
    if kind == "h" and not payload.strip("h"):
        return Heartbeat()
    if kind in ("a", "c"):
        event = _messages(payload) if kind == "a" else _closed(payload)
        if event is not None:
            return event
    return Malformed(f"malformed SockJS frame {frame[:60]!a}, {len(frame)} characters")


def _messages(payload: str) -> Messages | None:
    texts = _json(payload)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return None
    return Messages(tuple(texts))


def _closed(payload: str) -> Closed | None:
    match _json(payload):
        case [int(code), str(reason), *_]:
            return Closed(code, reason)
    return None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@define
class Decoder:
    """The frames in the body of HTTP answers, in whatever pieces it arrives."""

    _rest: bytearray = field(factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that *data* completes."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._rest += end
            yield from self.end()
        self._rest += rest
        if len(self._rest) > LONGEST_FRAME:
            self._rest.clear()
            yield Malformed(f"a SockJS frame longer than {LONGEST_FRAME} bytes")

    def end(self) -> Iterator[Event]:
        """Yield what a line that just ended holds; a closed session's last line has no end."""
        frame = self._rest.decode(errors="replace").rstrip("\r")
        self._rest.clear()
        if frame:
            yield decode(frame)


def encode(texts: Sequence[str]) -> str:
    """Return what a client sends for *texts*: a bare JSON array, on HTTP and on WebSocket."""
    return json.dumps(list(texts))
