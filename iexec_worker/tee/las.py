"""SCONE's local attestation services: one container for all tasks whose enclaves want its image."""

from __future__ import annotations

import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.engine import labels
from iexec_worker.engine.images.reference import parse_reference
from iexec_worker.engine.limits import Limits
from iexec_worker.engine.networks.named import ensure_network
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import Declined, PullFailed, Rejected, Unavailable, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.images.local import Images
    from iexec_worker.tee.sgx_host import SgxHost

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Half of the random letters of a name, which as a host name has less than 64 in all: 10 of
#: `iexec-las-`, 42 of a wallet, a dash and these.
_RANDOM: Final = 4


_SERVICE: Final = "las"


@define(eq=False)
class LasServices:
    """
    Starts them on *network*, with *images* that log in to *registry*, and removes them.

    They are marked with *wallet*, so that the next life finds what this one could not remove.
    *capabilities* are those of apps.
    """

    containers: Containers
    images: Images
    host: SgxHost
    network: str
    registry: str
    wallet: str
    capabilities: tuple[str, ...]
    #: The name of each image's container, from before it is made until it is removed.
    _names: dict[str, str] = field(init=False, factory=dict)
    _locks: dict[str, trio.Lock] = field(init=False, factory=lambda: defaultdict(trio.Lock))

    def names(self) -> frozenset[str]:
        """Return the names of the containers that live."""
        return frozenset(self._names.values())

    async def running(
        self, image: str, *, limit: float, show: Callable[[str], None] = lambda _: None
    ) -> str:
        """
        Return the name of the container of *image*, which runs: started if it did not.

        *limit*: seconds for the pull. Raises `Rejected` or `Declined` when it cannot be had or run,
        and `Unavailable` when the engine is away.
        """
        self._check(image)
        # One lock each: a pull that takes its time is no matter for those who have theirs.
        async with self._locks[image]:
            name = self._names.setdefault(image, self._new_name())
            found = await self.containers.find(name)
            if found is None or not found.running:
                show(f"starting {image}")
                await self._have(image, limit, show)
                await self._start(name, image)
            return name

    def _new_name(self) -> str:
        return f"iexec-las-{self.wallet}-{secrets.token_hex(_RANDOM)}"

    def _check(self, image: str) -> None:
        if not parse_reference(image).is_in(self.registry.lower()):
            raise Rejected(
                f"LAS image {image} is not of {self.registry} (IEXEC_WORKER_SCONTAIN_REGISTRY_NAME)"
            )
        if not self.images.registries:
            raise Rejected(
                f"LAS image {image} needs a log-in: "
                "set IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME and _PASSWORD"
            )

    async def _have(self, image: str, limit: float, show: Callable[[str], None]) -> None:
        """Get what the image's name stands for now; the one that is here will do instead."""
        try:
            await self.images.pull(
                image, limit=limit, progress=lambda now: show(f"pulling {image}: {now}")
            )
        except (PullFailed, Unavailable, Declined) as error:
            if await self.images.find(image) is None:
                raise Rejected(str(error)) from error
            log.warning("LAS image not refreshed, the local one is used", reason=str(error))

    async def _start(self, name: str, image: str) -> None:
        await ensure_network(self.containers.engine, self.network)
        spec = ContainerSpec(
            name=name,
            image=image,
            labels={labels.WALLET: self.wallet, labels.SERVICE: _SERVICE},
            network=self.network,
            devices=await self.host.devices(),
            # All enclaves depend on it: it is not killed before others.
            limits=Limits(oom_score_adj=0, capabilities=self.capabilities),
        )
        await self.containers.start(spec)
        log.info("LAS started", container=name, image=image)

    async def close(self) -> None:
        """Remove all of them; what the engine does not remove, the next life does."""
        for image, name in list(self._names.items()):
            try:
                await self.containers.remove(name)
            except WorkerError as error:
                log.warning("LAS not removed", container=name, reason=str(error))
            else:
                del self._names[image]
