"""SCONE: enclaves are attested by a service on the same host, and configured by a remote one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from iexec_worker.engine.images.local import pull_limit
from iexec_worker.errors import Declined, Rejected, StageFailed
from iexec_worker.tee.dressing import with_entrypoint, with_env, with_hosts
from iexec_worker.tee.model import TeeState
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.config import Tee
    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.model import TaskDescription
    from iexec_worker.tee.framework import OpenSession
    from iexec_worker.tee.las import LasServices
    from iexec_worker.tee.model import Part
    from iexec_worker.tee.sgx_host import SgxHost
    from iexec_worker.tee.sgx_services import SgxServices
    from iexec_worker.tee.sms import Sms


def _unseen(_: str) -> None:
    """Nobody watches."""


@frozen
class Scone:
    """*las* outlives this, and is closed by whoever made it."""

    services: SgxServices
    host: SgxHost
    las: LasServices
    config: Tee

    async def prepare(
        self,
        task: TaskDescription,
        sms: Sms,
        folder: Path,  # noqa: ARG002 - others write there
        open_session: OpenSession,
        show: Callable[[str], None],
    ) -> TeeState:
        services = await self.services.find(task, sms, show)
        await self._las(services.las_image, task.time_reference, show)
        return TeeState(services, await open_session())

    async def container(self, spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
        # It was there when the task started, and may have ended since.
        las = await self._las(state.services.las_image, 0, _unseen)
        service = state.services.of(part)
        env = {
            "SCONE_CAS_ADDR": state.session.url,
            "SCONE_LAS_ADDR": f"{las}:{self.config.las_port}",
            "SCONE_CONFIG_ID": f"{state.session.session_id}/{part.value}",
            "SCONE_HEAP": str(service.heap if service else 0),
            "SCONE_LOG": self.config.scone_log_level,
            "SCONE_VERSION": "1" if self.config.scone_show_version else "0",
        }
        dressed = with_entrypoint(with_env(spec, env), part, state)
        dressed = with_hosts(dressed, part, self.config.extra_hosts)
        return attrs.evolve(dressed, devices=(*spec.devices, *await self.host.devices()))

    async def _las(self, image: str, time_reference: float, show: Callable[[str], None]) -> str:
        images = self.services.images
        limit = pull_limit(time_reference, images.pull_min, images.pull_max)
        try:
            return await self.las.running(image, limit=limit, show=show)
        except (Rejected, Declined) as error:
            raise StageFailed(Cause.TEE_PREPARATION_FAILED, str(error)) from error
