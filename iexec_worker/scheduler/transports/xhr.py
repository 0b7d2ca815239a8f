"""SockJS over plain HTTP: a POST whose answer carries frames, and another POST to send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NoReturn

import httpx
import trio
from attrs import define, field, frozen

from iexec_worker.scheduler.sockjs import Decoder, Heartbeat, encode
from iexec_worker.scheduler.transports import LinkLost
from iexec_worker.transport import why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iexec_worker.scheduler.sockjs import Event

#: Silence is for the link to judge, which knows of the heartbeats; so no limit on reading.
_TIMEOUT: Final = httpx.Timeout(10.0, read=None)

_SEND_TIMEOUT: Final = httpx.Timeout(10.0)

#: Seconds that an answer of nothing but heartbeats takes from a sound server (5, in truth). A
#: server, or a proxy, that gives such answers at once is asked at this pace.
_EMPTY_ANSWER: Final = 1.0

_SEND_HEADERS: Final = {"Content-Type": "application/json"}

# A compressing proxy would hold frames back until it has enough of them.
_RECEIVE_HEADERS: Final = {"Accept-Encoding": "identity", "Cache-Control": "no-cache"}


@frozen
class Xhr:
    """
    `xhr_streaming`, whose answers stay open for 128 KiB, or `xhr`, whose answers end after a frame.

    Either way the answer ends and the next POST goes to the same address. *session* is that of
    `session_url`.
    """

    client: httpx.AsyncClient
    session: str
    name: Literal["xhr_streaming", "xhr"]

    async def run(self, deliver: Callable[[Event], None]) -> NoReturn:
        """See `Transport.run`."""
        while True:
            asked = trio.current_time()
            news = _News(deliver)
            await self._receive(news)
            if not news.any:
                await trio.sleep_until(asked + _EMPTY_ANSWER)

    async def _receive(self, news: _News) -> None:
        """Make one POST and read its answer to the end."""
        url = f"{self.session}/{self.name}"
        try:
            async with self.client.stream(
                "POST", url, headers=_RECEIVE_HEADERS, timeout=_TIMEOUT
            ) as response:
                _check(response, "POST", url)
                async for data in response.aiter_bytes():
                    news.feed(data)
        except httpx.RequestError as error:
            raise LinkLost(f"POST {url}: {why(error)}") from error
        news.end()

    async def send(self, texts: Sequence[str]) -> None:
        """See `Transport.send`."""
        url = f"{self.session}/xhr_send"
        try:
            response = await self.client.post(
                url, content=encode(texts), headers=_SEND_HEADERS, timeout=_SEND_TIMEOUT
            )
        except httpx.RequestError as error:
            raise LinkLost(f"POST {url}: {why(error)}") from error
        _check(response, "POST", url)


def _check(response: httpx.Response, method: str, url: str) -> None:
    if response.status_code == httpx.codes.NOT_FOUND:
        raise LinkLost(f"{method} {url}: 404, the server does not know this session")
    if not response.is_success:
        raise LinkLost(f"{method} {url}: answered {response.status_code}")


@define
class _News:
    """The frames of one answer on their way. *any*: there was more in it than heartbeats."""

    deliver: Callable[[Event], None]
    any: bool = False
    _decoder: Decoder = field(factory=Decoder)

    def feed(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            self._pass(event)

    def end(self) -> None:
        for event in self._decoder.end():
            self._pass(event)

    def _pass(self, event: Event) -> None:
        self.any = self.any or not isinstance(event, Heartbeat)
        self.deliver(event)
