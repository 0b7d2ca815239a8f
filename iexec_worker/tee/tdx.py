"""TDX: the whole machine is the enclave, and containers get their secrets as plain variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import frozen

from iexec_worker.errors import Declined, Rejected, StageFailed
from iexec_worker.secret import Secret
from iexec_worker.tee import session_file
from iexec_worker.tee.dressing import with_env, with_hosts
from iexec_worker.tee.model import TeeState
from iexec_worker.telemetry.redaction import Redactor
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from iexec_worker.config import Tee
    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.model import TaskDescription
    from iexec_worker.tee.agent import Agent, Ended
    from iexec_worker.tee.framework import OpenSession
    from iexec_worker.tee.images import TeeImages
    from iexec_worker.tee.model import Part, Services, TeeSession
    from iexec_worker.tee.sms import Sms

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Bytes of a session: a few variables for each of three containers.
LARGEST: Final = 1024**2


@frozen
class Tdx:
    """There are no devices: *agent* alone talks to the hardware."""

    agent: Agent
    images: TeeImages
    config: Tee

    async def prepare(
        self,
        task: TaskDescription,
        sms: Sms,  # noqa: ARG002 - the session says all that it could
        folder: Path,
        open_session: OpenSession,
        show: Callable[[str], None],
    ) -> TeeState:
        session = await open_session()
        show("fetching the session's secrets")
        services = await self._services(task, session, folder)
        for image in (services.pre.image, services.post.image):
            await self._have(image, task.time_reference, show)
        return TeeState(services, session)

    async def container(self, spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
        await trio.lowlevel.checkpoint()
        service = state.services.of(part)
        dressed = with_env(spec, service.env if service else {})
        return with_hosts(dressed, part, self.config.extra_hosts)

    async def _services(self, task: TaskDescription, session: TeeSession, folder: Path) -> Services:
        file = folder / f"session-{task.chain_task_id}.json"
        await trio.to_thread.run_sync(_clear, file)
        try:
            ended = await self._fetch(session, file)
            # Of one that failed, too, whose output may have them.
            content = await trio.to_thread.run_sync(_content, file)
        finally:
            # From here on they are in the journal only.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_clear, file)
        return _read(task, session, content, ended)

    async def _fetch(self, session: TeeSession, file: Path) -> Ended:
        words = ("-e", session.url, "-i", session.session_id, "-s", file.name, "-v", "nullverifier")
        try:
            return await self.agent.run(words, file.parent)
        except OSError as error:
            raise _failed(
                f"{self.agent.program} cannot be run ({error.strerror}): install it, or set "
                "IEXEC_WORKER_TDX_AGENT"
            ) from error

    async def _have(self, image: str, time_reference: float, show: Callable[[str], None]) -> None:
        """Get *image*; that it is missing is the cause of the stage that needs it."""
        if not image:
            return
        try:
            await self.images.have(image, time_reference, show)
        except (Rejected, Declined) as error:
            log.warning("image of a TDX task not pulled", image=image, reason=str(error))


def _read(
    task: TaskDescription, session: TeeSession, content: bytes | None, ended: Ended
) -> Services:
    redactor = Redactor([Secret(session.session_id)])
    try:
        services = session_file.parse(content or b"")
        redactor.add(*_secrets(services))
    except ValueError as error:
        raise _failed(f"{_end(ended)}, and left no session: {error}") from error
    finally:
        for line in ended.lines:
            log.info("TDX agent", task=task.chain_task_id, line=redactor.text(line))
    if ended.status != 0:
        raise _failed(_end(ended))
    if not services.pre.image and task.has_input:
        raise _failed("the session has no pre-compute, which the task needs")
    return services


def _end(ended: Ended) -> str:
    if ended.status is None:
        return "the TDX agent was stopped at its time limit"
    return f"the TDX agent exited {ended.status}"


def _secrets(services: Services) -> Iterator[Secret]:
    for service in (services.pre, services.post, services.app):
        if service is not None:
            yield from map(Secret, service.env.values())


def _failed(message: str) -> StageFailed:
    cause = Cause.TEE_SESSION_GENERATION_SECURE_SESSION_STORAGE_CALL_FAILED
    return StageFailed(cause, message)


def _clear(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)


def _content(file: Path) -> bytes | None:
    """Read the session, None when there is none; one that is too large is as good as none."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError:
        return None
    return content if len(content) <= LARGEST else None
