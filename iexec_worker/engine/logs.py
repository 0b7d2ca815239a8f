"""What a container printed: both streams in one pass, remembered by their ends."""

from __future__ import annotations

import struct
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Final

from docker.errors import create_api_error_from_http_exception
from requests import HTTPError

from iexec_worker.engine.client import CALL_TIMEOUT
from iexec_worker.errors import Unavailable
from iexec_worker.model import ComputeLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import BinaryIO

    from docker import APIClient

LOG_TAIL: Final = 100_000
"""Characters of each stream that the pool takes."""

STDOUT: Final = 1
STDERR: Final = 2

_UTF8_MOST: Final = 4
"""Bytes of a character."""

_HEADER: Final = struct.Struct(">B3xI")
"""Before each piece of a log: its stream, and its size in bytes."""

_READ: Final = 65_536
"""Bytes; pieces are lines, and reading them one by one costs more than all the rest."""


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


class Demultiplexer:
    """Gives each piece of a log, however it arrives, to the sink of its stream."""

    def __init__(self, sinks: Mapping[int, Callable[[bytes], None]]) -> None:
        self._sinks = sinks
        self._sink: Callable[[bytes], None] = _refuse
        self._left = 0
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Unavailable` for a stream without a sink."""
        data = self._rest + data
        at = 0
        while at < len(data):
            if not self._left:
                if len(data) - at < _HEADER.size:
                    break
                stream, self._left = _HEADER.unpack_from(data, at)
                self._sink = self._sinks.get(stream, _refuse)
                at += _HEADER.size
            piece = data[at : at + self._left]
            self._sink(piece)
            self._left -= len(piece)
            at += len(piece)
        self._rest = data[at:]


def read_logs(
    api: APIClient, container: str, stdout: BinaryIO | None, stderr: BinaryIO | None
) -> ComputeLogs:
    """
    Return the ends of what a *container* printed so far, and write all of it to open files.

    The engine is asked for all of it: its own "tail" counts lines of both streams together, and a
    line has no end.
    """
    out, err = Tail(), Tail()
    streams = Demultiplexer({STDOUT: _tee(out, stdout), STDERR: _tee(err, stderr)})
    for data in _read(api, container):
        streams.feed(data)
    return ComputeLogs(out.text(), err.text())


def first_print(api: APIClient, container: str) -> str:
    """Return when the first line that the engine still has was printed; empty without any."""
    pieces = _read(api, container, timestamps="1")
    with closing(pieces):
        data = b"".join(islice(pieces, 1))
    return data[_HEADER.size :].partition(b" ")[0].decode(errors="replace")


def _read(api: APIClient, container: str, **more: str) -> Generator[bytes, None, None]:
    # The SDK's own call forgets which stream a piece belongs to.
    answer = api.get(
        f"{api.base_url}/v{api.api_version}/containers/{container}/logs",
        params={"stdout": "1", "stderr": "1", **more},
        stream=True,
        timeout=CALL_TIMEOUT,
    )
    with closing(answer):
        try:
            answer.raise_for_status()
        except HTTPError as error:
            create_api_error_from_http_exception(error)
        while data := answer.raw.read(_READ):
            yield data


def _tee(tail: Tail, copy: BinaryIO | None) -> Callable[[bytes], None]:
    if copy is None:
        return tail.add

    def both(data: bytes) -> None:
        tail.add(data)
        try:
            copy.write(data)
        except OSError as error:
            raise Unavailable(
                f"log of the app: cannot be kept ({error}); is the disk full?"
            ) from error

    return both


def _refuse(data: bytes) -> None:
    # The engine's own stream: how it tells that it cannot read the log any further.
    raise Unavailable(f"container engine: log broken off ({data.decode(errors='replace')})")
