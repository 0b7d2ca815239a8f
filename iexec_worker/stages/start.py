"""PLEASE_START: is this a task for us at all?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.errors import StageFailed
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.policy import Policy
    from iexec_worker.stages.task import Task


@frozen
class Start:
    """Checks the authorization, the chain's conditions and what the deal asks for."""

    conditions: Conditions
    policy: Policy

    async def __call__(self, task: Task) -> Details:
        await self.conditions.authorized(task)
        await self.conditions.check(task)
        description = task.description
        if refusal := self.policy.refusal(description):
            raise StageFailed(Cause.ABORTED_BY_WORKER, refusal)
        if description.tee_framework is not None:
            raise StageFailed(
                Cause.TEE_NOT_SUPPORTED, f"{description.tee_framework.name} is not enabled here"
            )
        if description.params.result_encryption:
            raise StageFailed(
                Cause.TASK_DESCRIPTION_INVALID, "a standard task cannot have its result encrypted"
            )
        return Details()
