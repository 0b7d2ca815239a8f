"""The network of tasks' apps: one bridge for all workers of a host, with rules of its own."""

from __future__ import annotations

import hashlib
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
import trio
from attrs import define, field, frozen
from docker.errors import APIError, NotFound

from iexec_worker.engine import labels
from iexec_worker.engine.networks.firewall import RESOLVERS, Firewall
from iexec_worker.engine.networks.named import named
from iexec_worker.engine.networks.rules import Rules
from iexec_worker.engine.networks.tenancy import Tenancy
from iexec_worker.errors import EngineRefused, Unavailable, WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from docker import APIClient

    from iexec_worker.engine.client import Engine

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

NAME: Final = "iexec-worker-tasks"

_BRIDGE: Final = "com.docker.network.bridge.name"
_NEIGHBOURS: Final = "com.docker.network.bridge.enable_icc"


@frozen
class Place:
    """The bridge of one engine and its rules. Several engines may share a host."""

    bridge: str
    rules: Rules
    tenancy: Tenancy

    @classmethod
    def of(cls, engine: Mapping[str, Any]) -> Place:
        """Name everything after the *engine*, of which this is its own `info`."""
        # Engines of one host may share an id, which they keep in /etc: not so where their data is.
        told = f"{engine['ID']} {engine.get('DockerRootDir', '')}"
        tag = hashlib.sha256(told.encode()).hexdigest()[:8]
        # Names of interfaces have 15 letters at most.
        bridge = f"iexec-{tag}"
        return cls(bridge, Rules(bridge, f"IEXEC-{tag}"), Tenancy(f"iexec-worker/{bridge}"))

    @property
    def is_here(self) -> bool:
        """True iff the bridge is in this network namespace."""
        return any(name == self.bridge for _, name in socket.if_nameindex())


@define(eq=False)
class AppNetwork:
    """
    Decides what apps reach: *wanted* is "public", "full" or "none".

    "public" needs the right to change the firewall of the network namespace that the engine's
    bridges are in. Without it apps get the full network, which is said once; where it was once had
    and is lost, no app starts until it is back. *resolvers*: see `Firewall`.
    """

    engine: Engine
    wanted: str
    resolvers: Sequence[Path] = RESOLVERS
    _place: Place | None = field(init=False, default=None)
    _firewall: Firewall | None = field(init=False, default=None)
    _given_up: bool = field(init=False, default=False)
    _busy: trio.Lock = field(init=False, factory=trio.Lock)

    @property
    def name(self) -> str | None:
        """The network to start an app in; None is the engine's default bridge."""
        if self.wanted == "none":
            return "none"
        return None if self._firewall is None else NAME

    async def prepare(self, info: Mapping[str, Any]) -> None:
        """
        Set up what is wanted, or clear what an earlier life left.

        For an engine that came up and told *info* of itself.
        """
        async with self._busy:
            if self._place is None:
                self._place = Place.of(info)
            if self.wanted != "public":
                await self._clear(self._place)
            elif self._firewall is not None:
                await self._hold(self._firewall, self._place)
            elif not self._given_up:
                await self._set_up(self._place)

    async def keep(self) -> None:
        """Set up again what somebody has removed. Raises `Unavailable` when that cannot be."""
        async with self._busy:
            if self._firewall is not None and self._place is not None:
                await self._hold(self._firewall, self._place)

    async def close(self) -> None:
        """Remove it all, unless others use it or apps that go on are in it."""
        async with self._busy:
            if self._place is not None:
                self._place.tenancy.leave()
                await self._clear(self._place)

    async def _set_up(self, place: Place) -> None:
        try:
            firewall = await Firewall.find(self.resolvers)
            async with place.tenancy.alone():
                place.tenancy.enter()
                await self._build(firewall, place)
        except EngineRefused as error:
            self._given_up = True
            place.tenancy.leave()
            await self._clear(place)
            log.warning(
                "apps reach this host and private networks: IEXEC_WORKER_TASK_NETWORK is public, "
                "but the firewall of the engine's host cannot be changed from here: run the worker "
                "as root in the host's network, or say full (this, and no warning) or none",
                reason=str(error),
            )
        else:
            self._firewall = firewall
            log.info("apps reach the internet only", bridge=place.bridge, tool=firewall.tool)

    async def _build(self, firewall: Firewall, place: Place) -> None:
        # Rules first: a bridge without them must not be there for a moment.
        await firewall.hold(place.rules)
        await self.engine.call(partial(_ensure, bridge=place.bridge))
        if not place.is_here:
            await self.engine.call(_remove)
            await firewall.drop(place.rules)
            raise EngineRefused("the engine's bridges are not in this network namespace")

    async def _hold(self, firewall: Firewall, place: Place) -> None:
        try:
            if await firewall.hold(place.rules):
                log.warning("firewall rules of apps were gone, they are there again")
            await self.engine.call(partial(_ensure, bridge=place.bridge))
        except EngineRefused as error:
            raise Unavailable(f"network of apps: {error}; no app starts without it") from error

    async def _clear(self, place: Place) -> None:
        """Remove network and rules if nobody uses them; what fails is left for the next time."""
        try:
            async with place.tenancy.alone():
                # A bridge elsewhere is used by workers that cannot be seen from here.
                if place.tenancy.is_used() or (
                    place.is_here and not await self.engine.call(_remove)
                ):
                    return
                await (await Firewall.find()).drop(place.rules)
        except WorkerError as error:
            log.debug("network of apps not removed", reason=str(error))


def _ensure(api: APIClient, bridge: str) -> None:
    there = named(api, NAME)
    if not there:
        api.create_network(
            NAME,
            driver="bridge",
            options={_BRIDGE: bridge, _NEIGHBOURS: "false"},
            labels={labels.NETWORK: "tasks"},
            enable_ipv6=False,
        )
    elif (there[0].get("Options") or {}).get(_BRIDGE) != bridge or there[0].get("EnableIPv6"):
        raise EngineRefused(f"the engine's network {NAME} is not this worker's: remove it")


def _remove(api: APIClient) -> bool:
    """Remove the network; False when containers are in it."""
    try:
        api.remove_network(NAME)
    except NotFound:
        return True
    except APIError:
        return False
    return True
