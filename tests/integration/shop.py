"""Buying tasks, and all there is to know of them when they have ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs
import trio
from attrs import frozen

from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.market import params
from iexec_worker.devpool.chain.orders import Purchase
from iexec_worker.devpool.chain.receiver import deploy_receiver, received
from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.scheduler.settings import Periods, SchedulerSettings
from iexec_worker.devpool.tee.enclave_config import configuration
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, TaskStatus
from tests.cached import CACHE
from tests.integration import evidence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iexec_worker.devpool.chain.onchain import PoolContribution, PoolTask
    from iexec_worker.devpool.http.record import Told
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.model import TeeFramework
    from iexec_worker.wire import Status


def quick(folder: Path) -> PoolOptions:
    """
    A pool whose clockwork runs fifty times as fast as the real one's.

    Except where it watches workers, whose own rhythms are those of the real world: one that pings
    every 10 s must not be lost after 1.2.
    """
    usual = Periods()
    periods = attrs.evolve(
        usual.scaled(0.02),
        lost_check=usual.lost_check,
        lost_after=usual.lost_after,
        upload_limit=usual.upload_limit,
        unnotified=usual.unnotified,
        unnotified_ongoing=usual.unnotified_ongoing,
    )
    scheduler = SchedulerSettings(ask_period=0.2, periods=periods)
    return PoolOptions(cache=CACHE, folder=folder, scheduler=scheduler)


@frozen
class Dataset:
    """A dataset of *content* (None: nobody has it), its checksum on-chain `good`, `bad`, `zero`."""

    content: bytes | None = b"a dataset\n"
    checksum: str = "good"
    by: str = "url"


@frozen
class Trusted:
    """
    What a TEE task asks for besides: *bulk* are the datasets of its slice.

    *enclave* is what the app's configuration has instead of something good, by its keywords.
    """

    framework: TeeFramework
    bulk: tuple[bytes, ...] = ()
    enclave: tuple[tuple[str, Any], ...] = ()

    @property
    def configuration(self) -> str:
        """What the app has on-chain."""
        return configuration(self.framework, **dict(self.enclave))


@frozen
class Order:
    """A task to buy. *image* is a name of the shop's shelf, *inputs* files (None: missing ones)."""

    args: str = "hello"
    image: str = "demo"
    dataset: Dataset | None = None
    inputs: tuple[bytes | None, ...] = ()
    callback: bool = False
    provider: str = "ipfs"
    more: tuple[tuple[str, Any], ...] = ()
    seconds: int = 60
    price: int = 1_000
    trust: int = 1
    trusted: Trusted | None = None


@frozen
class Bought:
    """A task that was bought."""

    order: Order
    task_id: str
    purchase: Purchase
    inputs: tuple[str, ...]


@frozen
class Ended:
    """A task whose replicate of *wallet* is over: what the worker told, and what is left."""

    bought: Bought
    wallet: str
    updates: tuple[Told, ...]
    onchain: PoolTask
    contribution: PoolContribution
    archive: bytes | None
    stored_as: str | None
    received: bytes | None

    @property
    def told(self) -> list[Status]:
        """The statuses that the pool took or, of what it sees on-chain, knew already; in order."""
        taken = {told.status for told in self.updates if told.accepted}
        return [
            told.status
            for told in self.updates
            if told.accepted or (told.known and told.status not in taken)
        ]

    def update(self, status: Status) -> Told:
        """The update with *status*."""
        (found,) = (told for told in self.updates if told.status is status)
        return found

    def cause(self, status: Status) -> str | None:
        """The cause that was told with *status*."""
        return self.update(status).cause

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the result archive."""
        assert self.archive is not None, "the proxy has no result"
        return evidence.unzip(self.archive)

    def completed(self) -> dict[str, bytes]:
        """Assert that the task is completed with the digest of its archive; return the files."""
        assert self.onchain.status is TaskStatus.COMPLETED
        assert self.onchain.result_digest == evidence.digest_of(self.files)
        return self.files


@frozen
class Shop:
    """Buys tasks of *pool*; *shelf* has images by name."""

    pool: Pool
    engine_url: str
    shelf: Mapping[str, str]

    async def buy(self, order: Order) -> Bought:
        """Make the deal; returns when it is on-chain."""
        market, trusted = self.pool.market, order.trusted
        inputs = tuple([await self._file(content) for content in order.inputs])
        bulk = await self._bulk(trusted.bulk) if trusted and trusted.bulk else ""
        terms = params(order.args, input_files=inputs, provider=order.provider, bulk=bulk)
        wanted = json.loads(terms)
        purchase = Purchase(
            app=await market.deploy_app(
                self.shelf[order.image], enclave=trusted.configuration if trusted else ""
            ),
            workerpool=self.pool.chain.pool_address,
            category=category_id(order.seconds),
            dataset=await self._dataset(order.dataset) if order.dataset else ZERO_ADDRESS,
            callback=await self._receiver() if order.callback else ZERO_ADDRESS,
            params=json.dumps({**wanted, **dict(order.more)}),
            trust=order.trust,
            tag=tag_of(trusted.framework) if trusted else ZERO_HASH,
            workerpool_price=order.price,
        )
        (task_id,) = (await market.buy(purchase)).task_ids
        return Bought(order, task_id, purchase, inputs)

    async def over(self, bought: Bought, wallet: str) -> Ended:
        """Wait until the worker has told that the task is over for it."""
        record, task_id = self.pool.record, bought.task_id
        await record.until_over(task_id, wallet)
        return await self.look(bought, wallet)

    async def look(self, bought: Bought, wallet: str) -> Ended:
        """All there is to know of the task now."""
        chain, task_id = self.pool.chain, bought.task_id
        onchain = await chain.task(task_id)
        assert onchain is not None
        return Ended(
            bought=bought,
            wallet=wallet,
            updates=tuple(self.pool.record.updates(task_id, wallet)),
            onchain=onchain,
            contribution=await chain.contribution(task_id, wallet),
            archive=await self._archive(task_id),
            stored_as=self.pool.results.stored_as.get(task_id),
            received=await self._received(bought),
        )

    async def _archive(self, task_id: str) -> bytes | None:
        results = self.pool.results
        if not await results.stored(task_id):
            return None
        return await trio.Path(results.ipfs.path(results.stored_as[task_id])).read_bytes()

    async def _received(self, bought: Bought) -> bytes | None:
        if not bought.order.callback:
            return None
        return await received(self.pool.node.rpc, bought.purchase.callback, bought.task_id)

    async def _receiver(self) -> str:
        return await deploy_receiver(self.pool.node.sender(self.pool.node.keys[8]))

    async def _file(self, content: bytes | None) -> str:
        """The URL of a file on the gateway."""
        path = "/ipfs/QmNobodyHasThis" if content is None else await self.pool.add_file(content)
        return self.pool.result_proxy_url + path

    async def _dataset(self, dataset: Dataset) -> str:
        content = dataset.content or b""
        digest = evidence.sha256(content)
        checksum = {"good": digest, "bad": evidence.sha256(b"another"), "zero": ZERO_HASH}
        url = await self._file(dataset.content)
        location = url.encode() if dataset.by == "url" else evidence.multiaddress(digest)
        address = await self.pool.market.deploy_dataset(
            location, checksum=checksum[dataset.checksum]
        )
        for sms in self.pool.sms.values():
            # It is not encrypted, but an SMS has to have a key.
            sms.vault.datasets[address.lower()] = "none"
        return address

    async def _bulk(self, contents: tuple[bytes, ...]) -> str:
        """The CID of a bulk with one slice."""
        datasets = [await self._dataset(Dataset(content)) for content in contents]
        return await self.pool.add_bulk(datasets)
