"""Images: is one here, and getting it within its limits."""

from __future__ import annotations

import math
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from attrs import frozen
from docker.errors import APIError, NotFound

from iexec_worker.engine.images.progress import Layers, PullProgress
from iexec_worker.engine.images.reference import DEFAULT_REGISTRY, Reference, parse_reference
from iexec_worker.errors import PullFailed, Rejected, Unavailable, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docker import APIClient

    from iexec_worker.config import RegistryCredentials
    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.images.survey import Survey

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

MINUTE: Final = 60.0

_HUB_LOGIN: Final = "https://index.docker.io/v1/"
"""The name under which the default registry takes log-ins, since its first version."""

#: What engines say of a registry that does not take a log-in.
_WRONG: Final = re.compile(r"\b401\b|unauthorized|denied|incorrect", re.IGNORECASE)

_ANONYMOUS: Final[dict[str, Any]] = {}
"""Said in so many words, or the SDK would look for credentials in its user's home."""


def pull_limit(time_reference: float, minimum: float, maximum: float) -> float:
    """
    Seconds that an image of a category with *time_reference* (seconds) may take to arrive.

    10 × log10 of the minutes, in whole minutes, within *minimum* and *maximum* (seconds).
    """
    if time_reference <= MINUTE:
        return minimum
    # Halves go up, as Java's round does: the limit is part of what pools expect of a worker.
    minutes = math.floor(10 * math.log10(time_reference / MINUTE) + 0.5)
    return max(minimum, min(maximum, minutes * MINUTE))


@frozen
class Found:
    """An image that the engine has: *size* in bytes on its disk, *tags* as `name:tag`."""

    id: str
    size: int
    tags: tuple[str, ...]


def _unseen(progress: PullProgress) -> None:
    """Nobody watches."""


@frozen
class Images:
    """
    The images of *engine*.

    *registries*: log-ins by exact host and port. *stall*: seconds without progress after which a
    pull is given up. *survey* looks at images before they are pulled, None: nobody does.
    *login_required*: nothing is pulled without a log-in that the registry took.
    """

    engine: Engine
    registries: Sequence[RegistryCredentials]
    stall: float
    survey: Survey | None = None
    login_required: bool = False

    async def find(self, image: str) -> str | None:
        """Return the id of *image* if the engine has it."""
        found = await self.inspect(image)
        return found.id if found else None

    async def inspect(self, image: str) -> Found | None:
        """Return what the engine knows of *image* if it has it."""
        return await self.engine.call(lambda api: _find(api, str(parse_reference(image))))

    async def pull(
        self, image: str, *, limit: float, progress: Callable[[PullProgress], None] = _unseen
    ) -> None:
        """
        Get *image* within *limit* seconds, log-in included, telling *progress* on the way.

        Raises `Rejected` for a name without a tag, and for a required log-in that is refused;
        `PullFailed` when the registry refuses, the limit passes or nothing moves any more, and
        `Declined` for an image that is too large or of another platform; one that shows it only
        when it is here stays here. The engine has stopped pulling when this returns, however it
        does; another pull of the same image goes on.
        """
        reference = parse_reference(image)
        with trio.move_on_after(limit) as scope:
            login = await self._login(reference)
            await self._look(reference, login)
            await self._receive(reference, login, progress)
        if scope.cancelled_caught:
            raise PullFailed(f"image {reference}: not here after its limit of {limit:g} s")
        found = await self.inspect(image)
        if found is None:
            raise PullFailed(f"image {reference}: the engine ended the pull without it")
        if self.survey is not None:
            self.survey.check_unpacked(reference, found.size)

    async def _look(self, reference: Reference, login: dict[str, Any]) -> None:
        if self.survey is not None:
            # Only a log-in that the registry took is used here, too.
            used = self._credentials(reference) if login else None
            with trio.move_on_after(self.stall):
                await self.survey.look(reference, used, login)

    def _credentials(self, reference: Reference) -> RegistryCredentials | None:
        return next((r for r in self.registries if r.address == reference.registry), None)

    async def _receive(
        self, reference: Reference, login: dict[str, Any], progress: Callable[[PullProgress], None]
    ) -> None:
        layers = Layers()
        with trio.move_on_after(self.stall) as scope:

            def hear(message: dict[str, Any]) -> None:
                if self.survey is not None:
                    self.survey.check_packed(reference, layers.progress.total)
                if layers.hear(message):
                    scope.deadline = trio.current_time() + self.stall
                    progress(layers.progress)

            await self.engine.stream(lambda api: _pull(api, reference, login, hear))
        if scope.cancelled_caught:
            raise PullFailed(
                f"image {reference}: nothing arrived for {self.stall:g} s, at {layers.progress}"
            )

    async def _login(self, reference: Reference) -> dict[str, Any]:
        """Return what to pull with: credentials that the registry took, else none."""
        found = self._credentials(reference)
        if found is None:
            if self.login_required:
                raise Rejected(f"image {reference}: no log-in to {reference.registry} is set")
            return _ANONYMOUS
        server = _HUB_LOGIN if found.address == DEFAULT_REGISTRY else found.address
        login = {
            "username": found.username,
            "password": found.password.reveal(),
            "serveraddress": server,
        }
        try:
            await self.engine.stream(
                lambda api: api.login(
                    found.username, found.password.reveal(), registry=server, reauth=True
                )
            )
        except WorkerError as error:
            if self.login_required:
                raise _unlogged(reference, error) from error
            log.warning("log-in failed, pulling without", registry=found.address, reason=str(error))
            return _ANONYMOUS
        return login


def _unlogged(reference: Reference, error: WorkerError) -> WorkerError:
    """Tell a log-in that is wrong from a registry that is away: to engines both are failures."""
    if isinstance(error, Unavailable) and not _WRONG.search(str(error)):
        return error
    return Rejected(f"image {reference}: the log-in to {reference.registry} failed: {error}")


def _find(api: APIClient, image: str) -> Found | None:
    try:
        found = api.inspect_image(image)  # type: ignore[no-untyped-call]  # the stubs'
    except NotFound:
        return None
    return Found(found["Id"], found["Size"], tuple(found["RepoTags"] or ()))


def _pull(
    api: APIClient,
    reference: Reference,
    login: dict[str, Any],
    hear: Callable[[dict[str, Any]], None],
) -> None:
    """Pull to the end, in a thread, while *hear* is called in Trio's."""
    try:
        messages = api.pull(
            reference.name, reference.version, stream=True, decode=True, auth_config=login
        )
    except APIError as error:
        raise PullFailed(f"image {reference}: {error.explanation or error}") from error
    with closing(messages):
        for message in messages:
            if "error" in message:
                raise PullFailed(f"image {reference}: {message['error']}")
            trio.from_thread.run_sync(hear, message)
