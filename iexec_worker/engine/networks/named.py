"""Bridges of the engine by their names: found, made once, joined."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from docker.errors import APIError

if TYPE_CHECKING:
    from docker import APIClient

    from iexec_worker.engine.client import Engine


async def ensure_network(engine: Engine, name: str) -> str:
    """Make the bridge network *name* if there is none; return the host's address on it."""
    return await engine.call(partial(_ensure, name=name))


async def join(engine: Engine, name: str, container: str, alias: str) -> None:
    """Put *container* (the worker's own) on the network *name*, to be reached as *alias*."""

    def connect(api: APIClient) -> None:
        api.connect_container_to_network(container, name, aliases=[alias])

    await engine.call(connect)


def named(api: APIClient, name: str) -> list[dict[str, Any]]:
    """Return the networks *name*. Blocks; in a thread of the engine's client."""
    # The engine's own filter takes parts of names, too.
    networks: list[dict[str, Any]] = api.networks(names=[name])
    return [network for network in networks if network["Name"] == name]


def _ensure(api: APIClient, name: str) -> str:
    if not named(api, name):
        api.create_network(name, driver="bridge")
    # The engine may let two workers that start together make one each, and then refuses the name.
    chosen, *others = sorted(named(api, name), key=itemgetter("Created", "Id"))
    for other in others:
        # Somebody may have removed it, or run something on it, meanwhile.
        with suppress(APIError):
            api.remove_network(other["Id"])
    return _gateway(chosen)


def _gateway(network: dict[str, Any]) -> str:
    """The host's address; empty on a network without one."""
    pools = network["IPAM"]["Config"] or [{}]
    return str(pools[0].get("Gateway", ""))
