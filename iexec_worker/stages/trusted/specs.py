"""The containers of trusted tasks: their names, what they see, what their framework adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.engine import labels
from iexec_worker.engine.command import split_command
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import StageFailed
from iexec_worker.stages.environment import IN, OUT
from iexec_worker.tee.model import Part
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.engine.networks.trusted import TrustedNetwork
    from iexec_worker.model import TeeFramework
    from iexec_worker.stages.task import Task
    from iexec_worker.tee.framework import Framework


@frozen
class TrustedSpecs:
    """*worker_name* and *wallet* mark the containers as ours."""

    frameworks: Mapping[TeeFramework, Framework]
    network: TrustedNetwork
    worker_name: str
    wallet: str
    gpus: bool

    def framework(self, task: Task) -> Framework:
        """Return the framework of a trusted task. Raises `StageFailed` when it is not here."""
        wanted = task.description.tee_framework
        assert wanted is not None, "asked for trusted tasks only"
        found = self.frameworks.get(wanted)
        if found is None:
            raise StageFailed(Cause.TEE_NOT_SUPPORTED, f"{wanted.name} is not enabled here")
        return found

    def name(self, task: Task, part: Part) -> str:
        """Return the name of the container."""
        name = f"{self.worker_name}-{task.id}"
        return name if part is Part.APP else f"{name}-tee-{part.value}"

    async def of(self, task: Task, part: Part) -> ContainerSpec:
        """
        Return the container; what it is on is made ready.

        Raises `StageFailed`, `EngineRefused` and `Unavailable`.
        """
        framework, state = self.framework(task), task.record.tee
        if state is None:
            raise StageFailed(Cause.TEE_PREPARATION_FAILED, "the task's session is lost")
        hosts = await self.network.ready()
        is_app = part is Part.APP
        service = state.services.of(part)
        spec = ContainerSpec(
            name=self.name(task, part),
            image=task.description.app_uri if is_app else (service.image if service else ""),
            command=split_command(task.description.params.args) if is_app else None,
            binds=_binds(task, part),
            labels={labels.WALLET: self.wallet, labels.TASK: task.id},
            network=self.network.name,
            gpus=self.gpus and is_app,
            # The app has nothing to tell the worker.
            extra_hosts={} if is_app else hosts,
        )
        return await framework.container(spec, part, state)


def _binds(task: Task, part: Part) -> Mapping[str, str]:
    binds = {}
    if part is not Part.POST:
        binds[str(task.folder.input)] = IN
    if part is not Part.PRE:
        binds[str(task.folder.iexec_out)] = OUT
    return binds
