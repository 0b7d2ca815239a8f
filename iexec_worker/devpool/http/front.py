"""A TCP relay in front of a server: where connections break as a network breaks them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from attrs import Factory, define, field

from iexec_worker.devpool.chaos.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def _proxy(front: Front) -> Proxy:
    return Proxy(("127.0.0.1", front.upstream))


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
    proxy: Proxy = field(default=Factory(_proxy, takes_self=True), init=False)
    _accepting: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _online: trio.Event = field(factory=trio.Event, init=False)
    _listening: trio.Event = field(factory=trio.Event, init=False)
    _refusing: trio.Event = field(factory=trio.Event, init=False)

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled; started with the port as soon as it accepts."""
        self._online.set()
        async with trio.open_nursery() as relays:
            while True:
                listeners = await trio.open_tcp_listeners(self.port, host=self.host)
                self.port = listeners[0].socket.getsockname()[1]
                self._listening.set()
                task_status.started(self.port)
                task_status = trio.TASK_STATUS_IGNORED
                with self._accepting:
                    await trio.serve_listeners(self.proxy.serve, listeners, handler_nursery=relays)
                self._refusing.set()
                await self._online.wait()

    @asynccontextmanager
    async def offline(self) -> AsyncIterator[None]:
        """Refuse connections while the block runs, and break those that are there."""
        self._online, self._refusing = trio.Event(), trio.Event()
        self._accepting.cancel()
        self.cut()
        await self._refusing.wait()
        try:
            yield
        finally:
            self._accepting, self._listening = trio.CancelScope(), trio.Event()
            self._online.set()
            await self._listening.wait()

    def peer(self, port: int) -> str | None:
        """The address of the client whose connection reaches the server from *port*."""
        link = self.proxy.behind(port)
        return link.peer if link else None

    def reset(self, port: int) -> None:
        """Break the connection that reaches the server from *port*; the client sees a reset."""
        if link := self.proxy.behind(port):
            link.reset()

    def cut(self) -> None:
        """Break all connections; new ones are accepted."""
        self.proxy.reset_all()
