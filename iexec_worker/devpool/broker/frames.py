"""STOMP frames as the pool reads and writes them. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c"}
_UNESCAPES: Final = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\c": ":"}
#: These two write their headers as they are, for the sake of STOMP 1.0.
_PLAIN: Final = frozenset({"CONNECT", "CONNECTED"})


class BadFrame(ValueError):
    """Raised when text is no STOMP frame."""


@frozen
class Frame:
    """One frame. *headers* keeps the first of repeated headers, as STOMP demands."""

    command: str
    headers: dict[str, str] = field(factory=dict)
    body: str = ""

    def encode(self) -> str:
        """The frame as text, NUL included."""
        lines = "".join(
            f"{self._escape(name)}:{self._escape(value)}\n" for name, value in self.headers.items()
        )
        return f"{self.command}\n{lines}\n{self.body}\0"

    def _escape(self, text: str) -> str:
        if self.command in _PLAIN:
            return text
        return "".join(_ESCAPES.get(c, c) for c in text)


def decode(text: str) -> Frame | None:
    """Read one frame; None for a heart-beat (empty lines). Raises BadFrame."""
    text = text.lstrip("\r\n")
    if not text:
        return None
    head, separator, body = text.replace("\r\n", "\n").partition("\n\n")
    if not separator or "\0" not in body:
        raise BadFrame("a frame ends with an empty line, its body and NUL")
    command, *lines = head.split("\n")
    return Frame(command, _headers(command, lines), body.partition("\0")[0])


def _headers(command: str, lines: Iterable[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadFrame(f"header without a colon: {line!r}")
        if command not in _PLAIN:
            name, value = _unescape(name), _unescape(value)
        headers.setdefault(name, value)
    return headers


def _unescape(text: str) -> str:
    out, rest = "", text
    while "\\" in rest:
        plain, _, _ = rest.partition("\\")
        pair = rest[len(plain) : len(plain) + 2]
        if pair not in _UNESCAPES:
            raise BadFrame(f"unknown escape {pair!r}")
        out, rest = out + plain + _UNESCAPES[pair], rest[len(plain) + 2 :]
    return out + rest
