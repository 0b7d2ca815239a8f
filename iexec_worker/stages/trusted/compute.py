"""PLEASE_COMPUTE of a trusted task: pre-compute, app and post-compute, each in its enclave."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from iexec_worker.engine.state import NO_EXIT_CODE
from iexec_worker.errors import EngineRefused, StageFailed
from iexec_worker.stages.compute import make_folders
from iexec_worker.stages.running.container import Run
from iexec_worker.stages.task import Details
from iexec_worker.tee.model import Part
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.running.app import AppRun
    from iexec_worker.stages.task import Task
    from iexec_worker.stages.trusted.services import TrustedServices
    from iexec_worker.stages.trusted.specs import TrustedSpecs
    from iexec_worker.telemetry.durations import Durations


@frozen
class ComputeTrusted:
    """
    Runs trusted apps. What an earlier life began is met again by its containers.

    The app's is there until post-compute has ended: as long as it is, pre-compute and the app
    need not run again.
    """

    conditions: Conditions
    app: AppRun
    specs: TrustedSpecs
    services: TrustedServices
    durations: Durations

    async def __call__(self, task: Task) -> Details:
        await self.conditions.check(task)
        await self.app.require(task)
        run, durations = await self._run(task), self.durations.task()
        if await self.app.running.left(task, run) is None:
            # A post-compute of an earlier life would read what the app writes anew.
            await self.services.discard(task, Part.POST)
            if task.record.computed is not None:
                # It has done its work: the result is stored, and can be stored once only.
                return Details()
            if task.description.has_input:
                await self.services.pre(task, durations)
        post_compute = partial(self.services.post, durations=durations)
        return await self.app(task, run, durations, post_compute)

    async def _run(self, task: Task) -> Run:
        try:
            spec = await self.specs.of(task, Part.APP)
        except EngineRefused as error:
            raise StageFailed(
                Cause.APP_COMPUTE_FAILED, str(error), exit_code=NO_EXIT_CODE
            ) from error
        fresh = partial(trio.to_thread.run_sync, make_folders, task)
        return Run(spec, task.folder.input, fresh, keeps_output=True)
