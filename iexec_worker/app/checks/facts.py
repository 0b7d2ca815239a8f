"""What looks learn for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from attrs import define, field

from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.scheduler.api import SchedulerApi

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from iexec_worker.app.clients import Clients
    from iexec_worker.chain.node.rpc import Block
    from iexec_worker.chain.wallet import Wallet
    from iexec_worker.config import Config
    from iexec_worker.model import ChainConfig, PoolConfig


@define(eq=False)
class Facts:
    """
    *stack* holds what has to be closed in the end. What is None has not been learnt.

    *scheduler_date* and *head* come with our own clock when they arrived, seconds.
    """

    config: Config
    clients: Clients
    stack: AsyncExitStack
    wallet: Wallet | None = None
    pool: PoolConfig | None = None
    chain: ChainConfig | None = None
    provider: NodeProvider | None = None
    scheduler_date: tuple[float, float] | None = None
    head: tuple[Block, float] | None = None
    api: SchedulerApi = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.api = SchedulerApi(self.clients.pool, self.config.scheduler.url)

    async def node(self) -> NodeProvider:
        """Return the way to the node: the operator's, or the one that the pool names."""
        if self.provider is None:
            urls = self.config.chain.node_urls
            if not urls:
                assert self.chain is not None, "looked at after the config server"
                urls = (self.chain.node_url,)
            host = httpx.URL(urls[0]).host
            client = await self.stack.enter_async_context(self.clients.node(host))
            self.provider = NodeProvider(client, urls)
        return self.provider
