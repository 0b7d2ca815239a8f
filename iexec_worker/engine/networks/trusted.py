"""The network of trusted tasks, on which their containers find the worker by its name."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, field

from iexec_worker.engine.networks.named import ensure_network, join
from iexec_worker.engine.networks.subnet import Subnet, subnet
from iexec_worker.engine.own_container import MOUNTS, own_container
from iexec_worker.errors import EngineRefused, WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iexec_worker.engine.client import Engine

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: What pre- and post-compute call the worker.
ALIAS: Final = "worker"


@define(eq=False)
class TrustedNetwork:
    """
    The network *name* of *engine*.

    A worker that is itself in a container, as *mounts* tell, joins it; any other is reached on the
    host.
    """

    engine: Engine
    name: str
    mounts: Path = MOUNTS
    _subnet: Subnet = field(init=False, factory=Subnet)

    async def ready(self) -> Mapping[str, str]:
        """
        Make it, and return the hosts that a container on it has to be told to find the worker.

        Raises `EngineRefused` and `Unavailable`.
        """
        gateway = await ensure_network(self.engine, self.name)
        self._subnet = await subnet(self.engine, self.name)
        own = await own_container(self.engine, mounts=self.mounts)
        if own is not None:
            reached = await self._join(own.id)
            if reached is not None:
                return reached
        if not gateway:
            raise EngineRefused(
                f"nobody on the network {self.name} reaches its host: let the worker make it, or "
                "name another in IEXEC_WORKER_DOCKER_NETWORK_NAME"
            )
        return {ALIAS: gateway}

    async def look(self) -> None:
        """Learn, unless it is known, who is on it; an engine that is away tells nothing."""
        if not self._subnet.networks:
            with suppress(WorkerError):
                self._subnet = await subnet(self.engine, self.name)

    def has(self, address: str) -> bool:
        """True iff *address* is one of a container on it, as far as was asked."""
        return self._subnet.has(address)

    async def _join(self, container: str) -> Mapping[str, str] | None:
        """Be on it as *container*; None when that cannot be, as in the host's own network."""
        there = await self._endpoint(container)
        if there is None:
            try:
                await join(self.engine, self.name, container, ALIAS)
            except EngineRefused as error:
                log.debug("the worker's container stays off", network=self.name, reason=str(error))
                return None
            return {}
        known = {*(there.get("Aliases") or ()), *(there.get("DNSNames") or ())}
        return {} if ALIAS in known else {ALIAS: there["IPAddress"]}

    async def _endpoint(self, container: str) -> dict[str, Any] | None:
        found = await self.engine.call(lambda api: api.inspect_container(container))
        there: dict[str, Any] | None = found["NetworkSettings"]["Networks"].get(self.name)
        return there
