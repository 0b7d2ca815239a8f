"""What this machine has for trusted tasks, for the life of the process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.engine.containers import Containers
from iexec_worker.engine.images.local import Images
from iexec_worker.engine.networks.trusted import TrustedNetwork
from iexec_worker.model import TeeFramework
from iexec_worker.tee.agent import Agent
from iexec_worker.tee.gramine import Gramine
from iexec_worker.tee.images import TeeImages
from iexec_worker.tee.las import LasServices
from iexec_worker.tee.scone import Scone
from iexec_worker.tee.sgx import Sgx
from iexec_worker.tee.sgx_host import SgxHost
from iexec_worker.tee.sgx_services import SgxServices
from iexec_worker.tee.tdx import Tdx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from iexec_worker.config import Config
    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.images.cache import ImageCache
    from iexec_worker.tee.framework import Framework

#: Seconds for the removal of the LAS containers, each of which the engine gives no time to end;
#: what is left then is removed by the next life.
CLOSING: Final = 10.0


def sgx_of(config: Config) -> Sgx:
    """Return the SGX devices that the operator says this machine has."""
    return Sgx(config.worker.tee_sgx_mode, config.tee.host_root)


def agent_of(config: Config) -> Agent:
    """Return the agent of TDX, which need not be there."""
    return Agent(config.tee.tdx_agent)


@frozen
class Enclaves:
    """*las* has the containers that tasks share; they live as long as the process."""

    config: Config
    host: SgxHost
    agent: Agent
    las: LasServices
    network: TrustedNetwork

    def frameworks(self, cache: ImageCache) -> Mapping[TeeFramework, Framework]:
        """Return what can run here; the images of pre- and post-compute are kept in *cache*."""
        tee, docker = self.config.tee, self.config.docker
        images = TeeImages(cache, docker.pull_min, docker.pull_max)
        found: dict[TeeFramework, Framework] = {}
        if self.host.sgx.enabled:
            scone = SgxServices(TeeFramework.SCONE, images, tee.max_heap)
            gramine = SgxServices(TeeFramework.GRAMINE, images, tee.max_heap)
            found[TeeFramework.SCONE] = Scone(scone, self.host, self.las, tee)
            found[TeeFramework.GRAMINE] = Gramine(gramine, self.host, tee)
        if self.agent.is_here:
            found[TeeFramework.TDX] = Tdx(self.agent, images, tee)
        return found


def enclaves(config: Config, engine: Engine, wallet: str) -> Enclaves:
    """Build them; nothing is looked at, and nothing runs before a task needs it."""
    host = SgxHost(engine, sgx_of(config))
    login = config.tee.scontain_login
    images = Images(
        engine, (login,) if login else (), config.docker.pull_stall, login_required=True
    )
    las = LasServices(
        Containers(engine),
        images,
        host,
        config.docker.network,
        config.tee.scontain_registry,
        wallet,
        config.sandbox.capabilities,
    )
    network = TrustedNetwork(engine, config.docker.network)
    return Enclaves(config, host, agent_of(config), las, network)


@asynccontextmanager
async def open_enclaves(config: Config, engine: Engine, wallet: str) -> AsyncIterator[Enclaves]:
    """
    Open what trusted tasks need; in the end no container that they shared is left.

    Raises `Fatal` when the devices of the SGX driver are not there.
    """
    opened = enclaves(config, engine, wallet)
    opened.host.sgx.require()
    try:
        yield opened
    finally:
        with trio.move_on_after(CLOSING, shield=True):
            await opened.las.close()
