"""A line to a registry on which a pull can be watched: slow, or stalled after its first bytes."""

from __future__ import annotations

from typing import Final

import trio
from attrs import define, field

from iexec_worker.devpool.changes import Changes

#: More than all the manifests of a connection have: from here on it is a layer that comes.
_STALL_AFTER: Final = 64_000


@define(eq=False)
class Line:
    """Passes answers of *upstream* at *rate* bytes/s; 0: of a layer only the beginning."""

    upstream: int
    rate: int
    port: int = 0
    passed: int = 0
    _loading: set[trio.SocketStream] = field(factory=set)
    _moving: trio.Event = field(factory=trio.Event)
    _changes: Changes = field(factory=Changes)

    async def run(self, *, task_status: trio.TaskStatus[Line] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; *port* is known once it has started."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self)
        await trio.serve_listeners(self._relay, listeners)

    async def move(self) -> None:
        """Let what has stalled go on."""
        self._moving.set()

    async def quiet(self) -> None:
        """
        Wait until no download is under way.

        An engine that was told to stop hangs up when the next bytes arrive.
        """
        await self._changes.until(lambda: not self._loading)

    async def _relay(self, client: trio.SocketStream) -> None:
        async with (
            client,
            await trio.open_tcp_stream("127.0.0.1", self.upstream) as server,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._ask, client, server, nursery.cancel_scope)
            await self._answer(server, client)
            nursery.cancel_scope.cancel()
        self._loading.discard(client)
        self._changes.ring()

    async def _ask(
        self, client: trio.SocketStream, server: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        """A client that goes away ends the connection, also while an answer is held back."""
        try:
            async for chunk in client:
                await server.send_all(chunk)
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    async def _answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        sent = 0
        try:
            while chunk := await server.receive_some(16_384):
                await client.send_all(chunk)
                sent += len(chunk)
                self.passed += len(chunk)
                if sent > _STALL_AFTER:
                    self._loading.add(client)
                if self.rate:
                    await trio.sleep(len(chunk) / self.rate)
                elif client in self._loading:
                    await self._moving.wait()
        except trio.BrokenResourceError:
            return
