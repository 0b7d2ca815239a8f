"""What is known of an image before it is pulled: is it for this machine, and how large is it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx
import structlog
import trio
from attrs import frozen

from iexec_worker.engine.images.manifest import Platform, read_platform
from iexec_worker.errors import Declined, WorkerError

if TYPE_CHECKING:
    from docker import APIClient

    from iexec_worker.config import RegistryCredentials
    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.images.reference import Reference
    from iexec_worker.engine.images.registries import Registries

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

LIMIT: Final = 20.0
"""Seconds for a registry's answers. One that is slower may still be pulled from."""

UNPACKED: Final = 3
"""Times its packed size that an image may have on the disk."""

_GB: Final = 1024**3


def gigabytes(size: int) -> str:
    """Return *size* (bytes) as people and variables have it."""
    return f"{round(size / _GB, 1) or round(size / _GB, 4):g} GB"


@frozen
class Survey:
    """
    Looks at images before *engine* pulls them; packed they may have *max_bytes*.

    What a registry does not tell is no reason to refuse: the pull is watched as well.
    """

    engine: Engine
    registries: Registries
    max_bytes: int

    async def look(
        self, reference: Reference, login: RegistryCredentials | None, auth: dict[str, Any]
    ) -> None:
        """Raise `Declined` for an image of another platform, or one that is too large."""
        with trio.move_on_after(LIMIT):
            try:
                here = await self._platform(reference, auth)
                size = await self.registries.size(reference, here, login)
            except (WorkerError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                if isinstance(error, Declined):
                    raise
                log.debug("image not looked at before", image=str(reference), reason=str(error))
            else:
                self.check_packed(reference, size or 0)

    def check_packed(self, reference: Reference, size: int) -> None:
        """Raise `Declined` when *size* bytes are more than a registry may send."""
        if size > self.max_bytes:
            raise Declined(
                f"image {reference}: {gigabytes(size)}, more than the {gigabytes(self.max_bytes)} "
                "of IEXEC_WORKER_MAX_IMAGE_SIZE_GB"
            )

    def check_unpacked(self, reference: Reference, size: int) -> None:
        """Raise `Declined` when *size* bytes are more than an image may have on the disk."""
        most = UNPACKED * self.max_bytes
        if size > most:
            raise Declined(
                f"image {reference}: {gigabytes(size)} unpacked, more than {gigabytes(most)}, "
                f"{UNPACKED} × IEXEC_WORKER_MAX_IMAGE_SIZE_GB"
            )

    async def _platform(self, reference: Reference, auth: dict[str, Any]) -> Platform:
        """Return that of the engine, if the image is there for it."""
        here, there = await self.engine.stream(partial(_platforms, image=str(reference), auth=auth))
        if there and not any(here.runs(one) for one in there):
            offered = ", ".join(sorted({str(one) for one in there}))
            raise Declined(f"image {reference}: it is for {offered}, this engine runs {here}")
        return here


def _platforms(
    api: APIClient, image: str, auth: dict[str, Any]
) -> tuple[Platform, tuple[Platform, ...]]:
    version = api.version()
    found = api.inspect_distribution(image, auth_config=auth)  # type: ignore[no-untyped-call]  # the stubs'
    said = found.get("Platforms") or ()
    here = Platform(version["Os"], version["Arch"])
    return here, tuple(read_platform(one) for one in said)
