"""A TCP relay in front of a server: where connections break as a network breaks them."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CHUNK: Final = 65536
#: SO_LINGER on, 0 seconds: closing sends RST instead of FIN.
_RESET: Final = struct.pack("ii", 1, 0)
_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


@define(eq=False)
class _Link:
    client: trio.SocketStream
    peer: str
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    def reset(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.scope.cancel()


@define(eq=False)
class Front:
    """
    Relays connections to *upstream* (a port on this host) and knows each by its upstream side.

    A server cannot be made to drop a connection without an answer; this can. The port stays the
    same for as long as `run` runs, also when the front was offline in between.
    """

    upstream: int
    host: str = "127.0.0.1"
    port: int = 0
    _links: dict[int, _Link] = field(factory=dict, init=False)
    _listening: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _online: trio.Event = field(factory=trio.Event, init=False)
    _refusing: trio.Event = field(factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled; started with the port as soon as it accepts."""
        self._online.set()
        async with trio.open_nursery() as relays:
            while True:
                listeners = await trio.open_tcp_listeners(self.port, host=self.host)
                self.port = listeners[0].socket.getsockname()[1]
                task_status.started(self.port)
                task_status = trio.TASK_STATUS_IGNORED
                with self._listening:
                    await trio.serve_listeners(self._relay, listeners, handler_nursery=relays)
                self._refusing.set()
                await self._online.wait()

    @asynccontextmanager
    async def offline(self) -> AsyncIterator[None]:
        """Refuse connections while the block runs, and break those that are there."""
        self._online, self._refusing = trio.Event(), trio.Event()
        self._listening.cancel()
        self.cut()
        await self._refusing.wait()
        try:
            yield
        finally:
            self._listening = trio.CancelScope()
            self._online.set()

    def peer(self, port: int) -> str | None:
        """The address of the client whose connection reaches the server from *port*."""
        link = self._links.get(port)
        return link.peer if link else None

    def reset(self, port: int) -> None:
        """Break the connection that reaches the server from *port*; the client sees a reset."""
        if link := self._links.get(port):
            link.reset()

    def cut(self) -> None:
        """Break all connections; new ones are accepted."""
        for link in list(self._links.values()):
            link.reset()

    async def _relay(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                peer: str = client.socket.getpeername()[0]
                server = await trio.open_tcp_stream("127.0.0.1", self.upstream)
            except OSError:
                # The client is gone already, or the server: nothing to relay.
                return
            async with server:
                await self._link(client, server, _Link(client, peer))

    async def _link(
        self, client: trio.SocketStream, server: trio.SocketStream, link: _Link
    ) -> None:
        key: int = server.socket.getsockname()[1]
        self._links[key] = link
        try:
            with link.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, client, server)
                    await _pump(server, client)
                    # The server ends a connection for both directions.
                    nursery.cancel_scope.cancel()
        finally:
            del self._links[key]


async def _pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        async for chunk in source:
            await sink.send_all(chunk)
        await sink.send_eof()
    except _BROKEN:
        return
