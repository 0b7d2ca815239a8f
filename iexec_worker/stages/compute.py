"""PLEASE_COMPUTE of a standard task: run the app, then make the result of what it left."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from iexec_worker.engine import labels
from iexec_worker.engine.command import split_command
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.files import remove
from iexec_worker.stages.environment import IN, OUT, app_environment
from iexec_worker.stages.running.container import Run

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.post_compute import PostCompute
    from iexec_worker.stages.running.app import AppRun
    from iexec_worker.stages.task import Details, Task
    from iexec_worker.telemetry.durations import Durations


@frozen
class Compute:
    """*worker_name* and *wallet* mark the containers as ours."""

    conditions: Conditions
    app: AppRun
    post_compute: PostCompute
    durations: Durations
    worker_name: str
    wallet: str
    gpus: bool

    async def __call__(self, task: Task) -> Details:
        await self.conditions.check(task)
        await self.app.require(task)
        run = Run(
            self.spec(task),
            task.folder.input,
            partial(trio.to_thread.run_sync, make_folders, task),
            keeps_output=True,
        )
        return await self.app(task, run, self.durations.task(), self.post_compute)

    def spec(self, task: Task) -> ContainerSpec:
        """Return the container of a standard app."""
        return ContainerSpec(
            name=f"{self.worker_name}-{task.id}",
            image=task.description.app_uri,
            command=split_command(task.description.params.args),
            env=app_environment(task.description),
            binds={str(task.folder.input): IN, str(task.folder.iexec_out): OUT},
            labels={labels.WALLET: self.wallet, labels.TASK: task.id},
            gpus=self.gpus,
        )


def make_folders(task: Task) -> None:
    """
    Make what an app reads and writes. Blocks.

    What an earlier run left would be part of the result: the new one finds nothing of it.
    """
    remove(task.folder.iexec_out)
    for path in (task.folder.input, task.folder.iexec_out):
        path.mkdir(parents=True, exist_ok=True)
