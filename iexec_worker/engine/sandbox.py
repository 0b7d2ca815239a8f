"""What every app of a requester is confined to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import structlog
from attrs import define, field

from iexec_worker.engine.limits import limits, missing
from iexec_worker.engine.quota import GB, Quota
from iexec_worker.errors import EngineRefused

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.config import Sandbox as Wanted
    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.limits import Limits
    from iexec_worker.engine.networks.apps import AppNetwork
    from iexec_worker.engine.spec import ContainerSpec

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: What runtimes call such a limit in their complaints.
_RLIMIT: Final = "rlimit"


@define(eq=False)
class Sandbox:
    """
    Fits what is *wanted* to the machine of *engine*, shared by *slots* apps.

    What the engine cannot do is left out, and said once. *floor*: bytes that stay free on the disk
    of the tasks.
    """

    engine: Engine
    network: AppNetwork
    wanted: Wanted
    slots: int
    floor: int
    _limits: Limits | None = field(init=False, default=None)
    _said: str = field(init=False, default="")

    async def prepare(self) -> None:
        """
        Learn what the engine can do, and make the network. For an engine that came up.

        Raises `Fatal` for a runtime that it does not have, `Unavailable` when it is away.
        """
        info = await self.engine.call(lambda api: api.info())
        found = limits(self.wanted, self.slots, info)
        left_out = missing(info)
        if left_out != self._said:
            self._said = left_out
            log.warning("the engine cannot limit everything of apps", not_limited=left_out)
        await self.network.prepare(info)
        self._limits = found

    async def keep(self) -> None:
        """Set up again what somebody has removed meanwhile."""
        await self.network.keep()

    async def start(self, containers: Containers, spec: ContainerSpec) -> str:
        """
        Start *spec* with all limits, as `Containers.start` does; returns the container's id.

        One that names no network of its own is in that of apps.

        Raises as that and `prepare` do.
        """
        if self._limits is None:
            await self.prepare()
        await self.network.keep()
        tried = self._limits
        assert tried is not None, "prepared just now"
        try:
            return await containers.start(self._confined(spec, tried))
        except EngineRefused as error:
            # Engines that may not raise their own limit tell of it only now.
            if tried.open_files is None or _RLIMIT not in str(error):
                raise
        if self._limits == tried:
            # Else another that started at the same time has said it.
            log.warning(
                "the engine cannot give apps so many open files, they have its own limit",
                IEXEC_WORKER_TASK_OPEN_FILES=tried.open_files,
            )
        self._limits = fewer = attrs.evolve(tried, open_files=None)
        return await containers.start(self._confined(spec, fewer))

    def _confined(self, spec: ContainerSpec, limits: Limits) -> ContainerSpec:
        return attrs.evolve(spec, limits=limits, network=spec.network or self.network.name)

    def quota(self, containers: Containers, container: str, folder: Path, given: Path) -> Quota:
        """Return the watch of an app that was confined here."""
        most = self.wanted.disk_bytes
        return Quota(containers, container, folder, given, most, self.floor)

    def memory_limit(self) -> str:
        """Say how much memory an app has."""
        most = self._limits.memory if self._limits else None
        return f"{most / GB:.2g} GB" if most else "the machine's"

    async def close(self) -> None:
        """Leave nothing on the host, unless somebody else uses it."""
        await self.network.close()
