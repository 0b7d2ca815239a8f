"""PLEASE_COMPUTE: run the app, then make the result of what it left."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import attrs
import structlog
import trio
from attrs import frozen

from iexec_worker.engine import labels
from iexec_worker.engine.command import split_command
from iexec_worker.engine.containers import CLEANUP_LIMIT
from iexec_worker.engine.logs import LOG_TAIL
from iexec_worker.engine.ownership import take_over
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import EngineRefused, StageFailed, WorkerError
from iexec_worker.stages import printed
from iexec_worker.stages.environment import IN, OUT, app_environment
from iexec_worker.stages.removal import remove
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.images import Images
    from iexec_worker.engine.sandbox import Sandbox
    from iexec_worker.engine.state import ContainerExit
    from iexec_worker.model import ComputeLogs
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.developer_log import DeveloperLog
    from iexec_worker.stages.post_compute import PostCompute
    from iexec_worker.stages.task import Task
    from iexec_worker.telemetry.durations import Durations

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Ends that an app's developer cannot tell from its exit code.
LIMITS: Final = frozenset({"oom", "quota"})

#: What the pool is told when the container could not run, or was stopped at its time limit.
NO_EXIT_CODE = -1

#: Exit codes from here on are those of signals: by whatever ended the engine, or the machine.
KILLED: Final = 128


@frozen
class Compute:
    """
    Runs standard apps; *worker_name* and *wallet* mark the containers as ours.

    *count* is told how each app ended. *leaves_running* is asked when a run is cut short: True
    keeps its container for a next life.
    """

    conditions: Conditions
    images: Images
    containers: Containers
    post_compute: PostCompute
    durations: Durations
    developer_log: DeveloperLog
    sandbox: Sandbox
    count: Callable[[str], None]
    worker_name: str
    wallet: str
    gpus: bool
    leaves_running: Callable[[], bool]

    async def __call__(self, task: Task) -> Details:
        await self.conditions.check(task)
        if await self.images.find(task.description.app_uri) is None:
            raise StageFailed(Cause.APP_NOT_FOUND_LOCALLY, f"{task.description.app_uri} is gone")
        ended, logs = await self._run(task)
        end = _end(ended)
        self.count(end)
        failure = self._failure(task, ended, end)
        if end in LIMITS:
            log.warning("app stopped", task=task.id, reason=end, detail=str(failure))
            logs = attrs.evolve(logs, stderr=_added(logs.stderr, str(failure)))
        try:
            if end == "quota" and failure:
                # It would be read and packed, as much of it as there is.
                raise failure
            # Also after a failure: an app that wrote a valid result before it exited 3 has one.
            await self.post_compute(task)
        except StageFailed as error:
            first = failure or error
            raise StageFailed(
                first.cause,
                first.message,
                exit_code=ended.exit_code,
                stdout=logs.stdout,
                stderr=logs.stderr,
            ) from error
        return Details(exit_code=ended.exit_code, compute_logs=logs)

    async def _run(self, task: Task) -> tuple[ContainerExit, ComputeLogs]:
        """Run the app to its end or its limit; attach to a container that an earlier life left."""
        spec = self.spec(task)
        task.node.doing = f"computing {task.description.app_uri}"
        try:
            async with self._files(task, spec), self._container(task, spec) as container:
                folder = task.folder
                quota = self.sandbox.quota(self.containers, container, folder.root, folder.input)
                ended = await quota.wait(task.description.time_reference)
                logs = await self._printed(task, container)
                if not await quota.log_is_whole():
                    log.warning(
                        "beginning of the app's log is lost: it printed too much", task=task.id
                    )
        except EngineRefused as error:
            raise StageFailed(
                Cause.APP_COMPUTE_FAILED, str(error), exit_code=NO_EXIT_CODE, stderr=str(error)
            ) from error
        if ended.exit_code == 0:
            # An app that succeeded finds all that it printed in its output.
            await trio.to_thread.run_sync(printed.keep, task.folder)
        self.durations.task().app(ended.duration)
        self.developer_log(task, ended, logs)
        return ended, logs

    @asynccontextmanager
    async def _container(self, task: Task, spec: ContainerSpec) -> AsyncIterator[str]:
        """Hold the app's container: what an earlier life left if it is good, else a new one."""
        async with self.containers.held(spec.name, keep=self.leaves_running):
            found = await self._left(task, spec)
            if found is not None:
                log.info("the app was begun already", task=task.id, container=found)
                yield found
            else:
                # A life that was killed had no time for this; what is closed cannot be removed.
                await take_over(self.containers, spec, task.folder.root)
                await trio.to_thread.run_sync(_make_folders, task)
                yield await self.sandbox.start(self.containers, spec)

    async def _left(self, task: Task, spec: ContainerSpec) -> str | None:
        """The container of an earlier life that runs, or has run to an end of its own."""
        found = await self.containers.find(spec.name)
        if found is None or found.running:
            return found.id if found else None
        if found.state != "exited":
            return None
        ended = await self.containers.wait(found.id, limit=task.description.time_reference)
        if ended.exit_code < KILLED or ended.oom_killed:
            return found.id
        log.warning("the app was killed and runs again", task=task.id, exit_code=ended.exit_code)
        return None

    async def _printed(self, task: Task, container: str) -> ComputeLogs:
        with printed.streams(task.folder) as (stdout, stderr):
            return await self.containers.logs(container, stdout=stdout, stderr=stderr)

    @asynccontextmanager
    async def _files(self, task: Task, spec: ContainerSpec) -> AsyncIterator[None]:
        """
        Make the app's files ours in the end, also those of one that was cut short.

        They have to be read or removed, and later nobody knows the image any more.
        """
        try:
            yield
        finally:
            # An app that is left running writes there; the next life does this.
            if not self.leaves_running():
                await self._take_over(task, spec)

    async def _take_over(self, task: Task, spec: ContainerSpec) -> None:
        with trio.move_on_after(CLEANUP_LIMIT, shield=True) as scope:
            try:
                await take_over(self.containers, spec, task.folder.root)
            except (WorkerError, OSError) as error:
                log.warning("files of an app stay closed to us", task=task.id, reason=str(error))
        if scope.cancelled_caught:
            log.warning("files of an app stay closed to us", task=task.id, reason="no time left")

    def _failure(self, task: Task, ended: ContainerExit, end: str) -> StageFailed | None:
        failed = Cause.APP_COMPUTE_FAILED
        match end:
            case "quota":
                return StageFailed(
                    failed,
                    f"the app was stopped: {ended.over_quota} (IEXEC_WORKER_TASK_MAX_DISK_GB)",
                )
            case "oom":
                return StageFailed(
                    failed,
                    f"the app exited {ended.exit_code}: memory used up, it has "
                    f"{self.sandbox.memory_limit()} (IEXEC_WORKER_TASK_MEMORY_PERCENT)",
                )
            case "timeout":
                limit = task.description.time_reference
                return StageFailed(Cause.APP_COMPUTE_TIMEOUT, f"stopped after its {limit:g} s")
            case "failure":
                return StageFailed(failed, f"the app exited {ended.exit_code}")
        return None

    def spec(self, task: Task) -> ContainerSpec:
        """Return the container of a standard app (WORKER.md §9)."""
        return ContainerSpec(
            name=f"{self.worker_name}-{task.id}",
            image=task.description.app_uri,
            command=split_command(task.description.params.args),
            env=app_environment(task.description),
            binds={str(task.folder.input): IN, str(task.folder.iexec_out): OUT},
            labels={labels.WALLET: self.wallet, labels.TASK: task.id},
            gpus=self.gpus,
        )


def _end(ended: ContainerExit) -> str:
    """One word for metrics and people."""
    if ended.over_quota:
        return "quota"
    if ended.timed_out:
        return "timeout"
    if ended.exit_code == 0:
        return "success"
    return "oom" if ended.oom_killed else "failure"


def _added(stderr: str, line: str) -> str:
    """Put *line* after what an app printed, within what the pool takes."""
    return f"{stderr[len(line) + 1 - LOG_TAIL :]}\n{line}" if stderr else line


def _make_folders(task: Task) -> None:
    """What an earlier run left would be part of the result: the new one finds nothing of it."""
    remove(task.folder.iexec_out)
    for path in (task.folder.input, task.folder.iexec_out):
        path.mkdir(parents=True, exist_ok=True)
