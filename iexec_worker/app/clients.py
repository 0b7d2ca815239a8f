"""The worker's ways out: HTTP clients and the engine, opened and closed together."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.engine.client import Engine
from iexec_worker.engine.networks.apps import AppNetwork
from iexec_worker.engine.sandbox import Sandbox
from iexec_worker.inputs.guard import Guard
from iexec_worker.transport import make_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from iexec_worker.config import Config

#: Seconds for the removal of the tasks' network; what is left then is removed by the next start.
CLOSING: Final = 5.0

#: Seconds for a read or write; a call that needs longer says so itself.
TIMEOUT: Final = 30.0


@frozen
class Clients:
    """
    *pool*: what the operator trusts (scheduler, config server, the pool's result proxy).
    *strangers*: addresses that requesters choose; guarded.
    """

    pool: httpx.AsyncClient
    strangers: httpx.AsyncClient
    engine: Engine
    config: Config

    @asynccontextmanager
    async def node(self, host: str) -> AsyncIterator[httpx.AsyncClient]:
        """
        Open the client of the chain node at *host*.

        A node that the operator named is reached like everything else; the one that the pool
        names is often next to it, and never behind the operator's proxy.
        """
        direct = () if self.config.chain.node_urls else (host,)
        async with make_client(self.config.outbound, timeout=TIMEOUT, direct=direct) as client:
            yield client


@asynccontextmanager
async def open_clients(config: Config) -> AsyncIterator[Clients]:
    """Open all clients; close them in the end, whatever happened."""
    guard = Guard(config.inputs.allow_private)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(make_client(config.outbound, timeout=TIMEOUT))
        strangers = await stack.enter_async_context(
            make_client(config.outbound, timeout=TIMEOUT, wrap=guard.wrap)
        )
        engine = Engine(config.docker.host)
        stack.push_async_callback(engine.aclose)
        yield Clients(pool, strangers, engine, config)


@asynccontextmanager
async def open_sandbox(config: Config, engine: Engine) -> AsyncIterator[Sandbox]:
    """Open what apps are confined to; in the end nothing of it is left on the host."""
    wanted = config.sandbox
    network = AppNetwork(engine, wanted.network)
    sandbox = Sandbox(engine, network, wanted, config.worker.slots, config.worker.min_free_disk)
    try:
        yield sandbox
    finally:
        with trio.move_on_after(CLOSING, shield=True):
            await sandbox.close()
