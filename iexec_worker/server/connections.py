"""
Connections of the HTTP server: how many at a time, and that they speak HTTP/1.1 only.

Hypercorn accepts as many as come, and each takes one of the process's files: whoever reaches the
port could leave none for the work. So its connections are served here, one by one.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field, frozen
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.config import Config
    from hypercorn.events import Event
    from hypercorn.protocol.h2 import H2Protocol
    from hypercorn.protocol.h11 import H11Protocol
    from hypercorn.typing import ASGIFramework


@define(eq=False)
class Connections:
    """
    Serves *app* on at most *limit* connections.

    One more takes the place of the oldest one of the address that has most: a flood pushes out
    itself, and a health check is answered meanwhile.
    """

    app: ASGIFramework
    config: Config
    limit: int
    _context: WorkerContext = field(init=False, factory=lambda: WorkerContext(None))
    #: In the order in which they came, with their addresses.
    _open: dict[trio.SocketStream, str] = field(init=False, factory=dict)

    async def serve(
        self,
        listener: trio.SocketListener,
        stopped: trio.Event,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        """Accept until *stopped*; then requests under way have the configured grace to end."""
        async with trio.open_nursery() as handlers:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(
                        trio.serve_listeners, self._handle, [listener], handler_nursery=handlers
                    )
                )
                task_status.started()
                await stopped.wait()
                accepting.cancel_scope.cancel()
            await self._context.terminated.set()
            handlers.cancel_scope.deadline = trio.current_time() + self.config.graceful_timeout

    async def _handle(self, stream: trio.SocketStream) -> None:
        if len(self._open) >= self.limit:
            self._push_out()
        try:
            self._open[stream] = str(stream.socket.getpeername()[0])
            served: Any = stream  # Hypercorn's annotation knows TLS only
            app, state = ASGIWrapper(self.app), ConnectionState({})
            await _Connection(app, self.config, self._context, state, served).run()
        except OSError:
            pass  # it has gone already
        finally:
            self._open.pop(stream, None)
            await trio.aclose_forcefully(stream)

    def _push_out(self) -> None:
        counts = Counter(self._open.values())
        most = max(counts.values())
        victim = next(stream for stream, host in self._open.items() if counts[host] == most)
        del self._open[victim]
        # Nothing that it waits for is waited for any longer, shielded or not.
        victim.socket.close()


class _Connection(TCPServer):
    """A connection of Hypercorn's that ends when its client goes, or wants to speak HTTP/2."""

    async def protocol_send(self, event: Event) -> None:
        try:
            await super().protocol_send(event)
        except trio.BusyResourceError:
            # The client has gone: its connection is being shut by the task that noticed.
            await self.protocol.handle(Closed())

    async def _read_data(self) -> None:
        self.protocol = _Http1(self.protocol.protocol, self._initiate_server_close)  # type: ignore[assignment]  # a wrapper for another
        await super()._read_data()


@frozen
class _Http1:
    """
    In the place of what changes the protocol.

    HTTP/2 has limits of its own, and many requests at a time, which nobody needs here.
    """

    protocol: H11Protocol | H2Protocol
    end: Callable[[], Awaitable[None]]

    async def handle(self, event: Event) -> None:
        try:
            await self.protocol.handle(event)
        except (H2ProtocolAssumedError, H2CProtocolRequiredError):
            await self.end()
