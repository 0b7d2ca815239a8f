"""A server that requesters chose, the private services around it, and a canary in each of them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field, frozen

from iexec_worker.config import Outbound
from iexec_worker.inputs.download import Downloader, Limits
from iexec_worker.inputs.guard import Guard
from iexec_worker.results.proxy import ResultProxy
from iexec_worker.transport import make_client
from tests.inputs.conftest import Names, Origin, ok

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CANARY: Final = b"canary: nobody may read this"

#: Small, so that what has no end is given up soon.
LIMITS: Final = Limits(max_bytes=2_000_000, stall=0.3, grace=1.0)


@define(eq=False)
class Private:
    """A service of the local network: it counts who connects, and gives its secret to anybody."""

    port: int = 0
    visits: list[str] = field(factory=list)

    async def handle(self, stream: trio.SocketStream) -> None:
        self.visits.append(str(stream.socket.getpeername()))
        await stream.send_all(ok(CANARY))
        await stream.aclose()


@frozen
class Lab:
    """
    *origin* is a stranger's server; only it is allowed. *private* is on the same address and on
    others, at one port. *folder* is a task's, *canary* a file of the host's.
    """

    origin: Origin
    private: Private
    names: Names
    downloader: Downloader
    folder: Path
    canary: Path

    def patient(self, reserve: int = 0) -> Downloader:
        """A downloader for what arrives in the end, also on a machine with other work to do."""
        limits = Limits(max_bytes=2**30, stall=20, grace=60, reserve=reserve)
        return Downloader(self.downloader.client, limits)

    @property
    def proxy(self) -> ResultProxy:
        """The origin as the result proxy that a requester named."""
        return self.proxy_at(self.origin.url(""))

    def proxy_at(self, url: str) -> ResultProxy:
        return ResultProxy(self.downloader.client, url, answered_within=1.0)

    def untouched(self) -> bool:
        """True iff nobody came to the private services, nor changed the file."""
        return not self.private.visits and self.canary.read_bytes() == CANARY


@asynccontextmanager
async def open_lab(folder: Path) -> AsyncIterator[Lab]:
    """Open the lab in an empty *folder*."""
    canary, into = folder / "canary", folder / "task" / "input"
    canary.write_bytes(CANARY)
    into.mkdir(parents=True)
    origin, private, names = Origin(), Private(), Names()
    before = trio.socket.set_custom_hostname_resolver(names)
    async with AsyncExitStack() as stack:
        stack.callback(trio.socket.set_custom_hostname_resolver, before)
        nursery = await stack.enter_async_context(trio.open_nursery())
        serve = partial(trio.serve_tcp, host="127.0.0.1")
        (listener,) = await nursery.start(serve, origin.handle, 0)
        origin.port = listener.socket.getsockname()[1]
        (listener,) = await nursery.start(serve, private.handle, 0)
        private.port = listener.socket.getsockname()[1]
        for host in ("127.0.0.2", "::1"):
            await nursery.start(partial(trio.serve_tcp, private.handle, private.port, host=host))
        guard = Guard([f"127.0.0.1:{origin.port}"])
        client = await stack.enter_async_context(
            make_client(Outbound(), timeout=1, wrap=guard.wrap)
        )
        yield Lab(origin, private, names, Downloader(client, LIMITS), into, canary)
        nursery.cancel_scope.cancel()
