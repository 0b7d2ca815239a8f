"""SockJS over WebSocket: httpx opens the connection (and knows the proxies), wsproto the frames."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, Final, NoReturn

import httpcore
import httpx
import trio
from attrs import define, field
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage
from wsproto.events import Event as Frame
from wsproto.utilities import ProtocolError, generate_accept_token

from iexec_worker.scheduler.sockjs import LONGEST_FRAME, decode, encode
from iexec_worker.scheduler.transports import LinkLost
from iexec_worker.transport import why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iexec_worker.scheduler.sockjs import Event

_TIMEOUT: Final = httpx.Timeout(10.0, read=None)
_CHUNK: Final = 64 * 1024

#: Seconds in which a few hundred bytes must have left.
_WRITE_LIMIT: Final = 10.0


@define(eq=False)
class WebSocket:
    """A session of `session_url` as one WebSocket. It ends when the connection does."""

    client: httpx.AsyncClient
    session: str
    name: str = field(default="websocket", init=False)
    _frames: Connection = field(factory=lambda: Connection(ConnectionType.CLIENT), init=False)
    _stream: Any = field(default=None, init=False)
    _sending: trio.Lock = field(factory=trio.Lock, init=False)
    _partial: list[str] = field(factory=list, init=False)

    @property
    def _url(self) -> str:
        return f"{self.session}/websocket"

    async def run(self, deliver: Callable[[Event], None]) -> NoReturn:
        """See `Transport.run`."""
        key = base64.b64encode(secrets.token_bytes(16))
        try:
            async with self.client.stream(
                "GET", self._url, headers=_upgrade(key), timeout=_TIMEOUT
            ) as response:
                self._stream = _upgraded(response, key, self._url)
                await self._receive(deliver)
        except (httpx.RequestError, httpcore.NetworkError, ProtocolError) as error:
            raise LinkLost(f"{self._url}: {why(error)}") from error

    async def _receive(self, deliver: Callable[[Event], None]) -> NoReturn:
        while data := await self._stream.read(_CHUNK):
            self._frames.receive_data(data)
            for frame in self._frames.events():
                await self._take(frame, deliver)
        raise LinkLost(f"{self._url}: the server closed the connection")

    async def _take(self, frame: Frame, deliver: Callable[[Event], None]) -> None:
        match frame:
            case Ping():
                await self._write(frame.response())
            case CloseConnection(code=code):
                raise LinkLost(f"{self._url}: the server ended the WebSocket with {code}")
            case TextMessage(data=data, message_finished=finished):
                self._collect(data)
                if finished:
                    deliver(decode("".join(self._partial)))
                    self._partial.clear()

    def _collect(self, data: str) -> None:
        self._partial.append(data)
        if sum(map(len, self._partial)) > LONGEST_FRAME:
            raise LinkLost(f"{self._url}: a message longer than {LONGEST_FRAME} characters")

    async def send(self, texts: Sequence[str]) -> None:
        """See `Transport.send`."""
        try:
            await self._write(TextMessage(data=encode(texts)))
        except (httpcore.NetworkError, httpcore.TimeoutException, ProtocolError) as error:
            raise LinkLost(f"{self._url}: {why(error)}") from error

    async def _write(self, frame: Frame) -> None:
        async with self._sending:
            await self._stream.write(self._frames.send(frame), timeout=_WRITE_LIMIT)


def _upgrade(key: bytes) -> dict[str, str]:
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key.decode(),
        "Sec-WebSocket-Version": "13",
    }


def _upgraded(response: httpx.Response, key: bytes, url: str) -> Any:  # noqa: ANN401 - httpcore's stream is not public
    accepted = response.headers.get("Sec-WebSocket-Accept", "").encode()
    if response.status_code != httpx.codes.SWITCHING_PROTOCOLS:
        raise LinkLost(f"{url}: answered {response.status_code} instead of a WebSocket")
    if accepted != generate_accept_token(key):
        raise LinkLost(f"{url}: the answer is not to our handshake; is there a cache in between?")
    return response.extensions["network_stream"]
