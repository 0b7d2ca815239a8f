"""One connection through a proxy: two directions, and the ways in which it can end."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.devpool.chaos.line import Line

#: When it was read, and what; no bytes are the end of the direction.
Read = tuple[float, bytes]

#: At most 1 MiB per direction is on its way; who sends more waits, as for a full window of TCP.
_CHUNK: Final = 16_384
_WINDOW: Final = 64

#: A throttled line sends ten times a second, so that a changed plan is felt soon.
_BEAT: Final = 0.1

#: Seconds between the two halves of a slow end: long against a request, short against a ping.
_HALF_OPEN: Final = 2.0

#: SO_LINGER on, 0 seconds: closing sends RST instead of FIN.
_RESET: Final = struct.pack("ii", 1, 0)


@define(eq=False)
class _Direction:
    """Carries bytes from *source* to *sink*, in order and unchanged, as fast as *line* does."""

    source: trio.SocketStream
    sink: trio.SocketStream
    line: Line
    broken: Callable[[], None]
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    async def run(self) -> None:
        """Return after the end (FIN) of the source, or of the scope, was sent to the sink."""
        with self.scope:
            into, out = trio.open_memory_channel[Read](_WINDOW)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, into)
                nursery.start_soon(self._write, out)
        try:
            await self.sink.send_eof()
        except trio.BrokenResourceError:
            self.broken()

    async def _read(self, into: trio.MemorySendChannel[Read]) -> None:
        chunk = b"anything"
        while chunk:
            try:
                chunk = bytes(await self.source.receive_some(_CHUNK))
            except trio.BrokenResourceError:
                # A reset overtakes what was sent before it, but comes through no blackhole.
                await self.line.arrival(trio.current_time())
                self.broken()
                return
            await into.send((trio.current_time(), chunk))

    async def _write(self, out: trio.MemoryReceiveChannel[Read]) -> None:
        async for sent, chunk in out:
            await self.line.arrival(sent)
            if not chunk:
                return
            try:
                await self._transmit(memoryview(chunk))
            except trio.BrokenResourceError:
                self.broken()
                return

    async def _transmit(self, chunk: memoryview) -> None:
        while chunk:
            rate = self.line.plan.bandwidth
            piece = chunk[: max(1, int(rate * _BEAT))] if rate else chunk
            await self.line.transmitted(len(piece))
            await self.sink.send_all(piece)
            chunk = chunk[len(piece) :]


@define(eq=False)
class Link:
    """
    The connection of *client*, at *peer*, to a server.

    One on TCP sees it come from *server_port*, known when there is a connection to it. An end of
    one direction is passed on and leaves the other open; a reset of one side resets the other.
    """

    client: trio.SocketStream
    line: Line
    peer: str
    server_port: int | None = field(default=None, init=False)
    _server: trio.SocketStream | None = field(default=None, init=False)
    _directions: tuple[_Direction, ...] = field(default=(), init=False)
    _scope: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    async def run(self, connect: Callable[[], Awaitable[trio.SocketStream]]) -> None:
        """Relay until both directions have ended; a server that is away resets the client."""
        async with self.client:
            with self._scope:
                try:
                    server = self._server = await connect()
                except OSError:
                    await self.line.arrival(trio.current_time())
                    self.reset()
                    return
                if server.socket.family != socket.AF_UNIX:
                    self.server_port = server.socket.getsockname()[1]
                async with server:
                    await self._relay(server)

    def reset(self) -> None:
        """End the connection without a good-bye (RST) on both sides; unix sockets see an end."""
        for stream in (self.client, self._server):
            if stream is not None and stream.socket.fileno() != -1:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._scope.cancel()

    def cut(self, *, slowly: bool) -> None:
        """
        End the connection politely (FIN), in the midst of whatever is on its way.

        *Slowly*: the client is told at once and may go on sending; the server is told later.
        """
        if not self._directions:
            self._scope.cancel()
            return
        there, back = self._directions
        back.scope.cancel()
        end = trio.current_time() + (_HALF_OPEN if slowly else 0)
        there.scope.deadline = min(there.scope.deadline, end)

    async def _relay(self, server: trio.SocketStream) -> None:
        there = _Direction(self.client, server, self.line, self.reset)
        back = _Direction(server, self.client, self.line, self.reset)
        self._directions = there, back
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.run)
            nursery.start_soon(back.run)
