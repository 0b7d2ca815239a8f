"""What makes a pool one of trusted tasks: enclaves' images, a machine for them, and networks."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
from attrs import frozen

from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.network import network
from iexec_worker.devpool.registry import registry
from iexec_worker.devpool.tee import enclave_config
from iexec_worker.devpool.tee.kit import open_kit
from iexec_worker.devpool.tee.properties import VERSIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.tee.kit import Kit
    from iexec_worker.model import TeeFramework

#: The port at which enclaves find workers, which is why each has a network of its own.
_PORT: Final = "13100"

#: Datasets are not encrypted here, but an SMS has to have their key.
_KEY: Final = "none"


@frozen
class Network:
    """The network of one worker, and this machine's address on it."""

    name: str
    gateway: str


@frozen
class Trust:
    """*host* is the engine's; *networks* are by the workers' names."""

    host: str
    framework: TeeFramework
    kit: Kit
    networks: Mapping[str, Network]

    @property
    def address(self) -> str:
        """An address of this machine that containers of all workers reach."""
        return next(iter(self.networks.values())).gateway

    @property
    def enclave(self) -> str:
        """The app's configuration on-chain."""
        return enclave_config.configuration(self.framework)

    @property
    def tag(self) -> str:
        """The tag of a deal."""
        return tag_of(self.framework)

    def include(self, options: PoolOptions) -> PoolOptions:
        """Have a pool of *options* take such tasks, and its containers find it."""
        return attrs.evolve(options, container_host=self.address, frameworks=(self.framework,))

    def variables(self, worker: str) -> dict[str, str]:
        """With which *worker* takes the tasks, and its enclaves find it."""
        found = self.networks[worker]
        return {
            **self.kit.variables,
            "DOCKER_HOST": self.host,
            "IEXEC_WORKER_DOCKER_NETWORK_NAME": found.name,
            "IEXEC_WORKER_BIND_ADDRESS": found.gateway,
            "IEXEC_WORKER_PORT": _PORT,
        }

    def settle(self, pool: Pool) -> None:
        """Have the pool's SMS know the images."""
        pool.sms[self.framework].properties = {VERSIONS[self.framework]: self.kit.properties}

    def entrust(self, pool: Pool, dataset: str) -> None:
        """Have the pool's SMS know the key of *dataset*."""
        pool.sms[self.framework].vault.datasets[dataset.lower()] = _KEY


@asynccontextmanager
async def open_trust(
    host: str, folder: Path, framework: TeeFramework, workers: Sequence[str]
) -> AsyncIterator[Trust]:
    """
    Open it for *workers*, by name, whose engine is at *host*.

    Its images are in a registry in *folder*. Raises Fatal as its parts do.
    """
    mark = secrets.token_hex(3)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(registry(folder / "registry"))
        kit = await stack.enter_async_context(open_kit(host, store, folder, {framework}))
        networks = {}
        for worker in workers:
            name = f"iexec-pool-{mark}-{worker}"
            gateway = await stack.enter_async_context(network(host, name))
            networks[worker] = Network(name, gateway)
        yield Trust(host, framework, kit, networks)
