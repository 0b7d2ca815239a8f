"""Pre- and post-compute of trusted tasks: what they do is theirs, what came of it is told here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio
from attrs import frozen

from iexec_worker.errors import EngineRefused, Rejected, StageFailed
from iexec_worker.files import remove
from iexec_worker.stages.running.container import Run, was_killed
from iexec_worker.stages.trusted import exits
from iexec_worker.stages.trusted.reports import forget, reported
from iexec_worker.tee.model import Part
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.engine.images.local import Images
    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.stages.running.container import Running
    from iexec_worker.stages.running.developer_log import DeveloperLog
    from iexec_worker.stages.task import Task
    from iexec_worker.stages.trusted.specs import TrustedSpecs
    from iexec_worker.telemetry.durations import TaskDurations

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class TrustedServices:
    """Runs them; they tell why they failed, and the result, through the task's `Reports`."""

    specs: TrustedSpecs
    images: Images
    running: Running
    developer_log: DeveloperLog

    async def pre(self, task: Task, durations: TaskDurations) -> None:
        """Fill the input folder. Raises `StageFailed` when that failed."""
        task.node.doing = "pre-compute is fetching the input"
        ended = await self._run(task, Part.PRE)
        durations.pre(ended.duration)
        failed = self._failure(task, Part.PRE, ended)
        if failed is not None:
            raise failed

    async def post(self, task: Task, durations: TaskDurations) -> None:
        """
        Have the result signed, stored and told. Raises `StageFailed` when it was not.

        A result that came is one, whatever became of who sent it.
        """
        if task.record.computed is not None and not await self._is_running(task, Part.POST):
            await self.discard(task, Part.POST)
            return
        task.node.doing = "post-compute is signing and storing the result"
        ended = await self._run(task, Part.POST)
        durations.post(ended.duration)
        failed = self._failure(task, Part.POST, ended)
        if task.record.computed is None:
            raise failed or StageFailed(
                Cause.POST_COMPUTE_SEND_COMPUTED_FILE_FAILED,
                "post-compute succeeded, and sent no result",
            )
        if failed is not None:
            log.warning("post-compute sent a result and failed", task=task.id, reason=str(failed))

    async def discard(self, task: Task, part: Part) -> None:
        """Remove what an earlier life left of *part*: it would meet files of another run."""
        await self.running.containers.remove(self.specs.name(task, part))

    async def _is_running(self, task: Task, part: Part) -> bool:
        found = await self.running.containers.find(self.specs.name(task, part))
        return found is not None and found.running

    async def _run(self, task: Task, part: Part) -> ContainerExit:
        try:
            spec = await self.specs.of(task, part)
            await self._require(spec, part)
            run = Run(
                spec,
                # What is there already was written by others.
                task.folder.root,
                partial(self._fresh, task, part),
                partial(self._again, task, part),
                # Nobody would hear the result that it has stored, and it can be stored once only.
                outlives=part is not Part.POST,
            )
            async with self.running.to_end(task, run) as ran:
                self.developer_log(task, ran.ended, ran.logs, part)
                return ran.ended
        except EngineRefused as error:
            raise exits.unknown(part, str(error)) from error

    async def _require(self, spec: ContainerSpec, part: Part) -> None:
        try:
            found = await self.images.find(spec.image) if spec.image else None
        except Rejected as error:
            raise StageFailed(exits.cause_of(part, "IMAGE_MISSING"), str(error)) from error
        if found is None:
            raise StageFailed(
                exits.cause_of(part, "IMAGE_MISSING"),
                f"the image of {part}, {spec.image or 'which has no name'}, is not here",
            )

    async def _fresh(self, task: Task, part: Part) -> None:
        """What an earlier run said or left is not of this one."""
        forget(task.record, part)
        await task.save()
        await trio.to_thread.run_sync(_make_folder, task, part)

    def _again(self, task: Task, part: Part, ended: ContainerExit) -> bool:
        """
        True for one that failed without a word: its word may have found no worker.

        What it said, if it did, was heard in an earlier life.
        """
        unheard = ended.exit_code != 0 and not reported(task.record, part)
        return was_killed(ended) or unheard

    def _failure(self, task: Task, part: Part, ended: ContainerExit) -> StageFailed | None:
        limit = task.description.time_reference
        return exits.failure(part, ended, reported(task.record, part), limit)


def _make_folder(task: Task, part: Part) -> None:
    if part is Part.PRE:
        remove(task.folder.input)
    folder = task.folder.input if part is Part.PRE else task.folder.iexec_out
    folder.mkdir(parents=True, exist_ok=True)
