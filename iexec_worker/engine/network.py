"""The network on which the stages of a task reach the worker."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

if TYPE_CHECKING:
    from docker import APIClient

    from iexec_worker.engine.client import Engine

CONFLICT = 409


async def ensure_network(engine: Engine, name: str) -> str:
    """Make the bridge network *name* if there is none; return the host's address on it."""
    return await engine.call(partial(_ensure, name=name))


async def join(engine: Engine, name: str, container: str, alias: str) -> None:
    """Put *container* (the worker's own) on the network *name*, to be reached as *alias*."""

    def connect(api: APIClient) -> None:
        api.connect_container_to_network(container, name, aliases=[alias])

    await engine.call(connect)


def _ensure(api: APIClient, name: str) -> str:
    try:
        network = api.inspect_network(name)
    except NotFound:
        _create(api, name)
        network = api.inspect_network(name)
    return _gateway(network)


def _create(api: APIClient, name: str) -> None:
    try:
        api.create_network(name, driver="bridge", check_duplicate=True)
    except APIError as error:
        # Another worker of this machine was faster.
        if error.response is None or error.response.status_code != CONFLICT:
            raise


def _gateway(network: dict[str, Any]) -> str:
    """The host's address; empty on a network without one."""
    pools = network["IPAM"]["Config"] or [{}]
    return str(pools[0].get("Gateway", ""))
