"""An HTTP proxy as companies have them, for the test of who is reached through it."""

from __future__ import annotations

from urllib.parse import urlsplit

import trio
from attrs import define, field

_HEAD_END = b"\r\n\r\n"


@define(eq=False)
class ForwardProxy:
    """Passes plain HTTP requests on, one per connection; *asked* has their hosts and ports."""

    host: str
    port: int = 0
    asked: list[tuple[str, int]] = field(factory=list)

    @property
    def url(self) -> str:
        """Its address, as it is configured."""
        return f"http://{self.host}:{self.port}"

    async def run(
        self, *, task_status: trio.TaskStatus[ForwardProxy] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled; started with itself once the port is known."""
        listeners = await trio.open_tcp_listeners(0, host=self.host)
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self)
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                head, rest = await _head(client)
                host, port, request = _passed_on(head)
                self.asked.append((host, port))
                server = await trio.open_tcp_stream(host, port)
            except (OSError, trio.BrokenResourceError, ValueError):
                # The client sees a connection that broke, as with a proxy that is overloaded.
                return
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(_pump, client, server, request + rest)
                await _pump(server, client, b"")
                nursery.cancel_scope.cancel()


async def _head(client: trio.SocketStream) -> tuple[bytes, bytes]:
    received = b""
    while _HEAD_END not in received:
        chunk = await client.receive_some()
        if not chunk:
            raise ValueError("no request came")
        received += chunk
    head, _, rest = received.partition(_HEAD_END)
    return head, rest


def _passed_on(head: bytes) -> tuple[str, int, bytes]:
    """Where a request goes, and the request for the server itself: its last on the connection."""
    line, *headers = head.decode("latin-1").split("\r\n")
    method, target, version = line.split(" ")
    url = urlsplit(target)
    path = url.path + (f"?{url.query}" if url.query else "")
    kept = [text for text in headers if not text.lower().startswith("connection:")]
    lines = [f"{method} {path} {version}", *kept, "Connection: close"]
    return url.hostname or "", url.port or 80, "\r\n".join(lines).encode("latin-1") + _HEAD_END


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, first: bytes) -> None:
    try:
        await sink.send_all(first)
        async for chunk in source:
            await sink.send_all(chunk)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # The other direction ends with the connection.
        return
