"""The embedded pool: everything a worker joins, put together on this machine."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import trio
from attrs import frozen

from iexec_worker.devpool import config_server
from iexec_worker.devpool.chain.anvil import Node, anvil
from iexec_worker.devpool.chain.contracts import Contracts, deploy
from iexec_worker.devpool.chain.market import Market
from iexec_worker.devpool.chain.owner import PoolChain
from iexec_worker.devpool.config_server import ChainSettings
from iexec_worker.devpool.hosting import Host
from iexec_worker.devpool.ipfs import Ipfs
from iexec_worker.devpool.results.proxy import ResultProxy
from iexec_worker.devpool.results.remote import Look
from iexec_worker.devpool.scheduler.app import make_app
from iexec_worker.devpool.scheduler.scheduler import Scheduler
from iexec_worker.devpool.scheduler.sms import SmsClient
from iexec_worker.devpool.tee.opening import open_sms
from iexec_worker.devpool.tools import provide

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from iexec_worker.devpool.broker.notifications import Notifications
    from iexec_worker.devpool.broker.sockjs import SockJs
    from iexec_worker.devpool.http.faults import Faults
    from iexec_worker.devpool.http.front import Front
    from iexec_worker.devpool.http.record import Record
    from iexec_worker.devpool.http.service import Service
    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.scheduler.state import Replicate, Task
    from iexec_worker.devpool.tee.sms import Sms
    from iexec_worker.model import TeeFramework
    from iexec_worker.wire import Status


@frozen
class Village:
    """The chain, its contracts, and the people on it, before any service is there."""

    node: Node
    contracts: Contracts
    market: Market
    chain: PoolChain


@frozen
class Services:
    """The HTTP services, and the way to the node: `front` of each breaks its connections."""

    scheduler: Service
    result_proxy: Service
    config_server: Service
    node: Front


@frozen
class Pool:
    """
    A running pool. It ends with the scope of `open_pool`.

    *faults* are switched on per endpoint, *record* has everything workers asked and told;
    `notifications` and `sockjs` are where messages and links can be disturbed. *sms* has the SMS of
    each TEE framework.
    """

    options: PoolOptions
    village: Village
    services: Services
    scheduler: Scheduler
    results: ResultProxy
    ipfs: Ipfs
    faults: Faults
    record: Record
    sms: Mapping[TeeFramework, Sms]

    @property
    def market(self) -> Market:
        """Where apps, datasets and deals are made."""
        return self.village.market

    @property
    def chain(self) -> PoolChain:
        """The chain with the eyes of the pool's owner."""
        return self.village.chain

    @property
    def node(self) -> Node:
        """The chain's node, with its clock and its mining."""
        return self.village.node

    @property
    def owner_key(self) -> str:
        """The private key of the pool's owner, who signs the pool's orders."""
        return self.node.keys[1]

    @property
    def requester_keys(self) -> tuple[str, ...]:
        """Private keys of accounts with coins that nobody here uses."""
        return self.node.keys[4:]

    @property
    def notifications(self) -> Notifications:
        """What is published to workers."""
        return self.scheduler.notifications

    @property
    def sockjs(self) -> SockJs:
        """The links of the scheduler's present process."""
        return self.scheduler.process.sockjs

    @property
    def url(self) -> str:
        """The scheduler's address."""
        return self._url(self.services.scheduler.port)

    @property
    def result_proxy_url(self) -> str:
        """The result proxy's address; `/ipfs/…` is served there too."""
        return f"http://{self.options.inner}:{self.services.result_proxy.port}"

    @property
    def config_server_url(self) -> str:
        """The config server's address."""
        return self._url(self.services.config_server.port)

    @property
    def node_url(self) -> str:
        """The node's address for workers."""
        return self._url(self.services.node.port)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses that workers and containers are told."""
        return tuple(dict.fromkeys((self.options.advertised, self.options.inner)))

    def environment(self, wallet: Path, password: str) -> dict[str, str]:
        """The variables with which a worker whose keystore is *wallet* joins."""
        return {
            "IEXEC_CORE_URL": self.url,
            "POOL_ADDRESS": self.chain.pool_address,
            "IEXEC_WORKER_WALLET_PATH": str(wallet),
            "IEXEC_WORKER_WALLET_PASSWORD": password,
            # Datasets and inputs of this pool are on this machine.
            "IEXEC_WORKER_ALLOWED_PRIVATE_HOSTS": ",".join(self.hosts),
            "IEXEC_WORKER_IPFS_GATEWAYS": self.result_proxy_url,
        }

    def chain_json(self) -> dict[str, Any]:
        """The `chain.json` with which the iExec SDK uses this pool's chain."""
        pool = {
            "id": str(self.chain.chain_id),
            "host": self.node_url,
            "hub": self.chain.hub,
            # Where there is none, the SDK has to be told something: it knows no default.
            "sms": next((sms.url for sms in self.sms.values()), self.config_server_url),
            "ipfsGateway": self.result_proxy_url,
            "iexecGateway": self.config_server_url,
        }
        return {"default": "devpool", "chains": {"devpool": pool}}

    async def add_file(self, content: bytes) -> str:
        """Put a file (a dataset, an input) on the gateway; returns its path, `/ipfs/…`."""
        return f"/ipfs/{await self.ipfs.add(content)}"

    async def add_bulk(self, *slices: Sequence[str]) -> str:
        """
        Put a bulk of datasets on the gateway: their addresses, a slice for each task of the deal.

        Returns its CID, see `market.params`.
        """
        orders = [[{"dataset": address} for address in addresses] for addresses in slices]
        added = [await self.ipfs.add(json.dumps(order).encode()) for order in orders]
        return await self.ipfs.add(json.dumps(added).encode())

    async def restart_scheduler(self, *, same_config: bool = True) -> None:
        """
        Restart the scheduler as a process is: while it is away connections are refused.

        Tokens, links and signs of life are lost, tasks are not. With another configuration the
        answer to pings changes.
        """
        settings = self.scheduler.settings
        if not same_config:
            # A millisecond nobody notices, but in the hash.
            settings = attrs.evolve(settings, ask_period=settings.ask_period + 0.001)
        async with self.services.scheduler.front.offline():
            await self.scheduler.restart(settings)

    async def advance(self, seconds: int) -> None:
        """Set the clocks of chain and scheduler forward; workers keep their own time."""
        await self.node.increase_time(seconds)
        self.scheduler.store.clock.ahead += seconds
        await self.scheduler.process.monitor.look()

    async def task_status(self, chain_task_id: str, *states: str) -> Task:
        """Wait until a task is in one of *states* of the scheduler's."""
        return await self.scheduler.task_status(chain_task_id, *states)

    async def replicate_status(self, chain_task_id: str, wallet: str, status: Status) -> Replicate:
        """Wait until a replicate has had *status*, whoever set it."""
        return await self.scheduler.replicate_status(chain_task_id, wallet, status)

    def _url(self, port: int) -> str:
        return f"http://{self.options.advertised}:{port}"


@asynccontextmanager
async def open_pool(options: PoolOptions) -> AsyncIterator[Pool]:
    """Make a pool; it is complete when the block begins and gone when it ends."""
    tools = await provide(options.cache)
    folder = trio.Path(options.folder)
    await (folder / "ipfs").mkdir(parents=True, exist_ok=True)
    log = options.folder / "anvil.log"
    async with (
        anvil(
            tools.anvil,
            log,
            chain_id=options.chain_id,
            block_time=options.scheduler.block_time,
            gas_price=options.gas_price,
        ) as node,
        httpx.AsyncClient(trust_env=False) as client,
        trio.open_nursery() as nursery,
    ):
        village = await _settle(node, tools.poco)
        yield await _open(Host(options, nursery), village, client)
        nursery.cancel_scope.cancel()


async def _settle(node: Node, poco: Path) -> Village:
    admin, owner, developer, requester = map(node.sender, node.keys[:4])
    contracts = await deploy(poco, admin, node.chain_id)
    market = Market(node, contracts, developer=developer, requester=requester, pool_owner=owner)
    pool_address = await market.deploy_workerpool("an embedded pool")
    return Village(node, contracts, market, PoolChain(node.rpc, contracts, owner, pool_address))


async def _open(host: Host, village: Village, client: httpx.AsyncClient) -> Pool:
    options, chain = host.options, village.chain
    older = options.scheduler.numbers < (9,)
    ipfs = Ipfs(options.folder / "ipfs")
    results = ResultProxy(chain, ipfs, "8.6.0" if older else "9.1.0")
    node = await host.relay(int(village.node.url.rpartition(":")[2]), options.node_port)
    proxy = await host.serve(
        "result-proxy", results.app(), options.result_proxy_port, for_containers=True
    )
    proxy_url = host.url(proxy, for_containers=True)
    told = _chain_settings(options, village, host.url(node))
    config = await host.serve(
        "config-server", config_server.make_app(told), options.config_server_port
    )
    sms = await open_sms(host, chain, ipfs)
    scheduler = Scheduler(
        settings=attrs.evolve(
            options.scheduler,
            pool_address=chain.pool_address,
            scheduler_address=chain.owner_address,
            config_server_url=host.url(config),
            result_proxy_url=proxy_url,
        ),
        chain=chain,
        results=Look(results, proxy_url, chain, client),
        record=host.record,
        sms=SmsClient({framework: each.url for framework, each in sms.items()}, chain, client),
        sockjs_settings=options.sockjs,
    )
    await host.nursery.start(scheduler.run)
    front = await host.serve("scheduler", make_app(scheduler), options.scheduler_port)
    services = Services(front, proxy, config, node)
    return Pool(options, village, services, scheduler, results, ipfs, host.faults, host.record, sms)


def _chain_settings(options: PoolOptions, village: Village, node_url: str) -> ChainSettings:
    return ChainSettings(
        chain_id=village.chain.chain_id,
        node_url=node_url,
        hub=village.chain.hub,
        sidechain=options.scheduler.sidechain,
        block_time=options.scheduler.block_time,
    )
