"""What a container printed: read as a stream, remembered by its end."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, Literal

from iexec_worker.errors import Unavailable

if TYPE_CHECKING:
    from typing import BinaryIO

    from docker import APIClient

LOG_TAIL: Final = 100_000
"""Characters of each stream that the pool takes."""

_UTF8_MOST: Final = 4
"""Bytes of a character."""


class Tail:
    """The last characters of a stream; takes no more memory for more bytes."""

    def __init__(self, characters: int = LOG_TAIL) -> None:
        self._characters = characters
        self._bytes = (characters + 1) * _UTF8_MOST
        self._data = bytearray()

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self._data += data
        # Only at twice the size, so that each byte is moved once on average.
        if len(self._data) > 2 * self._bytes:
            del self._data[: -self._bytes]

    def text(self) -> str:
        """Return the end; what is no UTF-8 becomes U+FFFD."""
        return self._data.decode(errors="replace")[-self._characters :]


def read_log(
    api: APIClient, container: str, stream: Literal["stdout", "stderr"], copy: BinaryIO | None
) -> str:
    """
    Return the end of one *stream* of a *container*, and write all of it to *copy*.

    The engine is asked for all of it: its own "tail" counts lines of both streams together, and a
    line has no end.
    """
    tail = Tail()
    frames = api.logs(
        container, stdout=stream == "stdout", stderr=stream == "stderr", stream=True, follow=False
    )
    with closing(frames):
        for frame in frames:
            tail.add(frame)
            if copy is not None:
                _write(copy, frame)
    return tail.text()


def _write(copy: BinaryIO, data: bytes) -> None:
    try:
        copy.write(data)
    except OSError as error:
        raise Unavailable(f"log of the app: cannot be kept ({error}); is the disk full?") from error
