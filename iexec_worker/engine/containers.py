"""Containers, from start to removal."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from attrs import frozen
from docker.errors import APIError, NotFound

from iexec_worker.engine.client import CALL_TIMEOUT
from iexec_worker.engine.logs import read_logs
from iexec_worker.engine.spec import ContainerSpec, create_request
from iexec_worker.engine.state import (
    ContainerExit,
    FoundContainer,
    read_exit,
    read_found,
    time_left,
)
from iexec_worker.errors import EngineRefused, WorkerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import BinaryIO

    from docker import APIClient

    from iexec_worker.engine.client import Engine
    from iexec_worker.model import ComputeLogs

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

CLEANUP_LIMIT: Final = 15.0
"""Seconds for the removal of a container when its scope ends. The engine gives a killed process up
to 10 s; what is left after that is found by its labels later."""

CONFLICT: Final = 409


@frozen
class Containers:
    """The containers of *engine*. A *container* is named by its id or its name."""

    engine: Engine

    @asynccontextmanager
    async def running(self, spec: ContainerSpec) -> AsyncIterator[str]:
        """Start a container and hold it: yields its id; see `start` and `held`."""
        async with self.held(spec.name):
            yield await self.start(spec)

    @asynccontextmanager
    async def held(
        self, name: str, *, keep: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[None]:
        """
        Stop and remove the container *name* when the block ends, however it does.

        It need not exist, so that a start that was cancelled half-way leaves nothing either. The
        removal is shielded, and given up after `CLEANUP_LIMIT`. When *keep* says so in the end, a
        container that has started is left as it is.
        """
        try:
            yield
        finally:
            with trio.move_on_after(CLEANUP_LIMIT, shield=True) as scope:
                try:
                    if keep() and await self._has_started(name):
                        log.warning("container left running for the next start", container=name)
                    else:
                        await self.remove(name)
                except WorkerError as error:
                    log.warning("container not removed", container=name, reason=str(error))
            if scope.cancelled_caught:
                log.warning("container not removed", container=name, reason="engine too slow")

    async def start(self, spec: ContainerSpec) -> str:
        """
        Start a container in the place of any other with its name, and return its id.

        Raises `EngineRefused` with the engine's words when it cannot be made or run; nothing is
        left of it then.
        """
        await self.remove(spec.name)
        container = await self.engine.call(partial(_create, spec=spec))
        try:
            await self.engine.call(partial(_start, container=container))
        except EngineRefused:
            await self.remove(container)
            raise
        return container

    async def wait(self, container: str, *, limit: float) -> ContainerExit:
        """
        Wait for its end; kill it *limit* seconds after its start.

        The limit counts from the start that the engine knows, so that a container to which a
        worker comes back after a crash is given no second time.
        """
        inspected = await self._inspect(container)
        with trio.move_on_after(time_left(inspected, limit, now=time.time())) as scope:
            # "Not running" is answered at once for one that has ended, so it is no matter that
            # the question comes after the start.
            await self.engine.stream(lambda api: api.wait(container, condition="not-running"))
        # It may have ended by itself just then, or while no worker was there to see it.
        killed = scope.cancelled_caught and await self.stop(container)
        return read_exit(await self._inspect(container), timed_out=killed)

    async def _inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.engine.call(lambda api: api.inspect_container(container))
        return found

    async def stop(self, container: str) -> bool:
        """
        Kill it; returns when it has stopped. One that is not running, or not there, is fine.

        True iff it was running.
        """
        return await self.engine.call(partial(_kill, container=container))

    async def logs(
        self, container: str, *, stdout: BinaryIO | None = None, stderr: BinaryIO | None = None
    ) -> ComputeLogs:
        """
        Return the end of what it printed so far; whole streams are written to open files, if given.

        The files are written in a thread, which has ended when this returns or is cancelled.
        """
        return await self.engine.stream(lambda api: read_logs(api, container, stdout, stderr))

    async def remove(self, container: str) -> None:
        """Stop and remove it, with its anonymous volumes. One that is not there is fine."""
        await self.engine.call(partial(_remove, container=container))

    async def find(self, name: str) -> FoundContainer | None:
        """Return the container *name* as it is now, if it is there."""
        inspected = await self.engine.call(partial(_inspect, container=name))
        return read_found(inspected) if inspected else None

    async def _has_started(self, name: str) -> bool:
        found = await self.find(name)
        return found is not None and (found.running or found.state == "exited")

    async def list_ours(self, labels: Mapping[str, str]) -> tuple[FoundContainer, ...]:
        """Return all containers, stopped ones too, that bear all of *labels*."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        return await self.engine.call(partial(_list, labels=wanted))


def _create(api: APIClient, spec: ContainerSpec) -> str:
    return str(api.create_container(**create_request(api, spec))["Id"])


def _start(api: APIClient, container: str) -> None:
    try:
        api.start(container)
    except APIError as error:
        # Whatever the status: some commands and devices that cannot be had are a 500.
        raise EngineRefused(f"container cannot start: {error.explanation or error}") from error


def _kill(api: APIClient, container: str) -> bool:
    try:
        api.kill(container)
    except NotFound:
        return False
    except APIError as error:
        if not _is_conflict(error):
            raise
        return False
    return True


def _remove(api: APIClient, container: str) -> None:
    if _unless_done(lambda: api.remove_container(container, v=True, force=True)):
        return
    # Somebody else's removal is under way; the name is free when that has ended.
    _unless_done(lambda: api.wait(container, timeout=CALL_TIMEOUT, condition="removed"))


def _unless_done(action: Callable[[], object]) -> bool:
    """Run *action*, whose aim may be reached already; False iff the engine says "conflict"."""
    try:
        action()
    except NotFound:
        return True
    except APIError as error:
        if not _is_conflict(error):
            raise
        return False
    return True


def _is_conflict(error: APIError) -> bool:
    return error.response is not None and error.response.status_code == CONFLICT


def _inspect(api: APIClient, container: str) -> dict[str, Any] | None:
    try:
        inspected: dict[str, Any] = api.inspect_container(container)
    except NotFound:
        return None
    return inspected


def _list(api: APIClient, labels: list[str]) -> tuple[FoundContainer, ...]:
    rows = api.containers(all=True, quiet=True, filters={"label": labels})
    # One may go between the list and the look at it.
    inspected = (_inspect(api, row["Id"]) for row in rows)
    return tuple(read_found(container) for container in inspected if container)
