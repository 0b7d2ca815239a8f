"""A relay whose connections break, stall and slow down as those of a network do."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from attrs import define, field

from iexec_worker.devpool.chaos.line import Line, Plan
from iexec_worker.devpool.chaos.link import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Plan", "Proxy", "Target", "open_proxy"]

#: A host and a port, or the path of a unix socket, as a container engine has one.
Target = tuple[str, int] | Path


@define(eq=False)
class Proxy:
    """
    Relays connections to *target*, under a plan that holds for all of them.

    A target that is away costs the client its connection and the proxy nothing. *port* is where it
    listens, 0 when that is a unix socket.
    """

    target: Target
    port: int = 0
    _line: Line = field(factory=Line, init=False)
    _links: list[Link] = field(factory=list, init=False)

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return len(self._links)

    @property
    def plan(self) -> Plan:
        """What holds now."""
        return self._line.plan

    def set(self, plan: Plan) -> None:
        """Behave by *plan* from now on, to connections new and old; `Plan()` lifts all."""
        self._line.set(plan)

    def reset_all(self) -> None:
        """Reset all connections; new ones are accepted."""
        for link in [*self._links]:
            link.reset()

    def cut_all(self, *, slowly: bool = False) -> None:
        """End all connections with FIN; *slowly*: towards the target only a while later."""
        for link in [*self._links]:
            link.cut(slowly=slowly)

    def behind(self, port: int) -> Link | None:
        """The connection that reaches a TCP target from *port*."""
        return next((link for link in self._links if link.server_port == port), None)

    async def serve(self, client: trio.SocketStream) -> None:
        """Relay one connection to its end; errors of either side end the connection only."""
        try:
            peer = client.socket.getpeername()
        except OSError:
            await client.aclose()
            return
        link = Link(client, self._line, peer[0] if isinstance(peer, tuple) else "")
        if self.plan.refuse:
            link.reset()
        self._links.append(link)
        try:
            await link.run(self._connect)
        finally:
            self._links.remove(link)

    async def _connect(self) -> trio.SocketStream:
        if isinstance(self.target, Path):
            return await trio.open_unix_socket(self.target)
        return await trio.open_tcp_stream(*self.target)


@asynccontextmanager
async def open_proxy(target: Target, *, path: Path | None = None) -> AsyncIterator[Proxy]:
    """
    A proxy for the time of the scope, at a free port of 127.0.0.1 or at the unix socket *path*.

    It accepts connections when the block begins; those that are left are closed when it ends.
    Raises OSError if it cannot listen.
    """
    listener = await (_listen_at(path) if path else _listen())
    proxy = Proxy(target, 0 if path else listener.socket.getsockname()[1])
    with ExitStack() as stack:
        if path:
            stack.callback(path.unlink, missing_ok=True)
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, proxy.serve, [listener])
            yield proxy
            nursery.cancel_scope.cancel()


async def _listen() -> trio.SocketListener:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener


async def _listen_at(path: Path) -> trio.SocketListener:
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(path))
    listener.listen()
    return trio.SocketListener(listener)
