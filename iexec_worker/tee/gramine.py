"""Gramine: enclaves get their configuration from a remote service, and attest to it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from iexec_worker.tee.dressing import with_entrypoint, with_env, with_hosts
from iexec_worker.tee.model import Part, TeeState

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from iexec_worker.config import Tee
    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.model import TaskDescription
    from iexec_worker.tee.framework import OpenSession
    from iexec_worker.tee.sgx_host import SgxHost
    from iexec_worker.tee.sgx_services import SgxServices
    from iexec_worker.tee.sms import Sms


@frozen
class Gramine:
    """Nothing of it is shared by tasks."""

    services: SgxServices
    host: SgxHost
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
        return TeeState(services, await open_session())

    async def container(self, spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
        env = {"sps": state.session.url, "session": state.session.session_id}
        dressed = with_entrypoint(with_env(spec, env), part, state)
        dressed = with_hosts(dressed, part, self.config.extra_hosts)
        # The pre-compute attests by another way, and never had it.
        socket = {} if part is Part.PRE else await self.host.aesm_socket()
        return attrs.evolve(
            dressed,
            devices=(*spec.devices, *await self.host.devices()),
            binds={**spec.binds, **socket},
        )
