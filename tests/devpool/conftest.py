from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from attrs import frozen

from iexec_worker.devpool.chain.anvil import Node, anvil
from iexec_worker.devpool.chain.contracts import Contracts, category_id, deploy
from iexec_worker.devpool.chain.market import Bought, Market
from iexec_worker.devpool.chain.orders import Purchase
from iexec_worker.devpool.chain.owner import PoolChain
from iexec_worker.devpool.chain.sender import Sender
from iexec_worker.devpool.tools import Tools, provide

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CACHE: Final = Path(__file__).parents[2] / ".cache" / "iexec-worker"


@frozen
class Village:
    """A chain with PoCo, one pool, one app, and everybody who has to do with them."""

    node: Node
    contracts: Contracts
    market: Market
    chain: PoolChain
    app: str
    worker: Sender
    stranger: Sender

    async def buy(self, **terms: object) -> Bought:
        asked: dict[str, object] = {
            "app": self.app,
            "workerpool": self.chain.pool_address,
            "category": category_id(60),
        }
        return await self.market.buy(Purchase(**(asked | terms)))  # type: ignore[arg-type]  # terms of a Purchase


@pytest.fixture
async def tools() -> Tools:
    return await provide(CACHE)


@pytest.fixture
async def node(tools: Tools, tmp_path: Path) -> AsyncIterator[Node]:
    async with anvil(tools.anvil, tmp_path / "anvil.log") as running:
        yield running


@pytest.fixture
async def village(node: Node, tools: Tools) -> Village:
    admin, owner, developer, requester, worker, stranger = map(node.sender, node.keys[:6])
    contracts = await deploy(tools.poco, admin, node.chain_id)
    market = Market(node, contracts, developer=developer, requester=requester, pool_owner=owner)
    pool = await market.deploy_workerpool("a pool")
    app = await market.deploy_app("127.0.0.1:5000/app:1.0")
    chain = PoolChain(node.rpc, contracts, owner, pool)
    return Village(node, contracts, market, chain, app, worker, stranger)
