"""A machine on which workers take TEE tasks: it seems to have SGX and TDX, with test enclaves."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio
from attrs import frozen

from iexec_worker.devpool.chain.tags import knows
from iexec_worker.devpool.network import network
from iexec_worker.devpool.tee.properties import VERSIONS, Properties
from iexec_worker.model import TeeFramework
from tests.integration.hired import containers_named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.tee.kit import Kit
    from tests.integration.hired import Agency, Hired, Place
    from tests.integration.shop import Shop

#: The version of every framework whose pre- and post-compute nobody has.
MISSING: Final = "missing"


@frozen
class House:
    """*gateway* is this machine's address on the *network* of the one worker that is here."""

    kit: Kit
    network: str
    gateway: str

    def options(self, plain: PoolOptions) -> PoolOptions:
        """The options of a pool with all frameworks that its version knows."""
        known = tuple(f for f in TeeFramework if knows(plain.scheduler.numbers, f))
        return attrs.evolve(plain, container_host=self.gateway, frameworks=known)

    def furnish(self, pool: Pool) -> None:
        """Have the pool's SMS know the images."""
        for framework, sms in pool.sms.items():
            good = self.kit.properties
            bad = attrs.evolve(Properties(), las_image=good.las_image)
            sms.properties = {VERSIONS[framework]: good, MISSING: bad}

    @property
    def variables(self) -> dict[str, str]:
        """With which a worker takes TEE tasks; enclaves find it at the port they know."""
        return {
            **self.kit.variables,
            "IEXEC_WORKER_DOCKER_NETWORK_NAME": self.network,
            "IEXEC_WORKER_BIND_ADDRESS": self.gateway,
            "IEXEC_WORKER_PORT": "13100",
        }

    @property
    def images(self) -> dict[str, str]:
        """Apps for the shelf of a shop."""
        return {"trusted": self.kit.app}


@frozen
class Site:
    """A pool for one test, with TEE tasks to buy and workers to take them in a *house*."""

    pool: Pool
    shop: Shop
    agency: Agency
    house: House

    async def worker(self, *, slots: int = 1, again: Place | None = None) -> Hired:
        """Start the worker; there is one at a time."""
        return await self.agency.start(self.house.variables, slots=slots, again=again)

    async def las(self, worker: Hired) -> list[str]:
        """The names of a worker's LAS containers."""
        return await trio.to_thread.run_sync(
            containers_named, worker.engine_url, f"iexec-las-{worker.wallet}"
        )


@asynccontextmanager
async def open_house(engine_url: str, kit: Kit) -> AsyncIterator[House]:
    """Open it for as long as the block runs."""
    name = f"tests-{secrets.token_hex(3)}"
    async with network(engine_url, name) as gateway:
        yield House(kit, name, gateway)
