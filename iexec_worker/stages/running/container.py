"""Running one container of a task to its end: once, whatever lives the worker has meanwhile."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.engine.containers import CLEANUP_LIMIT
from iexec_worker.engine.ownership import take_over
from iexec_worker.errors import WorkerError
from iexec_worker.stages.running import printed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.sandbox import Sandbox
    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.engine.state import ContainerExit, FoundContainer
    from iexec_worker.model import ComputeLogs
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Exit codes from here on are those of signals: by whatever ended the engine, or the machine.
KILLED: Final = 128


def was_killed(ended: ContainerExit) -> bool:
    """True iff a container that ended while no worker was there did so by no doing of its own."""
    return ended.exit_code >= KILLED and not ended.oom_killed


@frozen
class Run:
    """
    One container, and what belongs to it.

    *fresh* is awaited before a new one is started. What is in the folder *given* is not counted as
    written by it. *again* says of one that an earlier life left, and that has ended, whether it
    has to run once more. *keeps_output*: what it printed becomes part of what it left. *outlives*:
    it may go on while there is no worker.
    """

    spec: ContainerSpec
    given: Path
    fresh: Callable[[], Awaitable[None]]
    again: Callable[[ContainerExit], bool] = was_killed
    keeps_output: bool = False
    outlives: bool = True


@frozen
class Ran:
    """How a container ended, and the end of what it printed."""

    ended: ContainerExit
    logs: ComputeLogs


@frozen
class Running:
    """
    Runs containers within the *sandbox*.

    *leaves_running* is asked when a run is cut short: True keeps its container for a next life.
    """

    containers: Containers
    sandbox: Sandbox
    leaves_running: Callable[[], bool]

    @asynccontextmanager
    async def to_end(self, task: Task, run: Run) -> AsyncIterator[Ran]:
        """
        Have it run to its end or its limit, or attach to what an earlier life left of it.

        Its container is there until the block ends, so that a next life can tell that it ran. Its
        files are ours before the block begins. Raises `EngineRefused`.
        """
        spec, folder = run.spec, task.folder
        async with self._files(task, run), self._container(task, run) as container:
            quota = self.sandbox.quota(self.containers, container, folder.root, run.given)
            ended = await quota.wait(task.description.time_reference)
            logs = await self._printed(task, run, container)
            if not await quota.log_is_whole():
                log.warning(
                    "beginning of a log is lost: too much was printed",
                    task=task.id,
                    container=spec.name,
                )
            await self._take_over(task, spec)
            if run.keeps_output and ended.exit_code == 0:
                # An app that succeeded finds all that it printed in its output.
                await trio.to_thread.run_sync(printed.keep, folder)
            yield Ran(ended, logs)

    async def left(self, task: Task, run: Run) -> FoundContainer | None:
        """Return the container of an earlier life that runs, or has run to an end of its own."""
        found = await self.containers.find(run.spec.name)
        if found is None or found.running:
            return found
        if found.state != "exited":
            return None
        ended = await self.containers.wait(found.id, limit=task.description.time_reference)
        if not run.again(ended):
            return found
        log.warning(
            "a container has ended while nobody was there, and runs again",
            task=task.id,
            container=run.spec.name,
            exit_code=ended.exit_code,
        )
        return None

    @asynccontextmanager
    async def _container(self, task: Task, run: Run) -> AsyncIterator[str]:
        """Hold the container: what an earlier life left if it is good, else a new one."""
        spec = run.spec
        async with self.containers.held(spec.name, keep=partial(self._goes_on, run)):
            found = await self.left(task, run)
            if found is not None:
                log.info("begun already", task=task.id, container=spec.name)
                yield found.id
            else:
                # A life that was killed had no time for this; what is closed cannot be removed.
                await take_over(self.containers, spec, task.folder.root)
                await run.fresh()
                yield await self.sandbox.start(self.containers, spec)

    async def _printed(self, task: Task, run: Run, container: str) -> ComputeLogs:
        if not run.keeps_output:
            return await self.containers.logs(container)
        with printed.streams(task.folder) as (stdout, stderr):
            return await self.containers.logs(container, stdout=stdout, stderr=stderr)

    @asynccontextmanager
    async def _files(self, task: Task, run: Run) -> AsyncIterator[None]:
        """
        Make its files ours in the end, also those of one that was cut short.

        They have to be read or removed, and later nobody knows the image any more.
        """
        try:
            yield
        finally:
            # What is left running writes there; the next life does this.
            if not self._goes_on(run):
                await self._take_over(task, run.spec)

    def _goes_on(self, run: Run) -> bool:
        return run.outlives and self.leaves_running()

    async def _take_over(self, task: Task, spec: ContainerSpec) -> None:
        with trio.move_on_after(CLEANUP_LIMIT, shield=True) as scope:
            try:
                await take_over(self.containers, spec, task.folder.root)
            except (WorkerError, OSError) as error:
                log.warning("files of an app stay closed to us", task=task.id, reason=str(error))
        if scope.cancelled_caught:
            log.warning("files of an app stay closed to us", task=task.id, reason="no time left")
