"""A network of the engine on which containers reach this machine."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import docker
import trio

from iexec_worker.devpool.images import call
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def network(host: str, name: str) -> AsyncIterator[str]:
    """
    The bridge network *name* in the engine at *host*; the value is this machine's address on it.

    A network of that name that is there already is used, and left. Raises Fatal when the engine's
    networks are not this machine's.
    """
    made, gateway = await call(host, lambda client: _ensure(client, name))
    try:
        _require_local(host, gateway)
        yield gateway
    finally:
        if made:
            with trio.move_on_after(10, shield=True):
                await call(host, lambda client: _remove(client, name))


def _ensure(client: docker.DockerClient, name: str) -> tuple[bool, str]:
    # The engine's own filter takes parts of names, too.
    there = [found for found in client.networks.list(names=[name]) if found.name == name]
    chosen = there[0] if there else client.networks.create(name, driver="bridge")
    chosen.reload()
    (pool, *_) = chosen.attrs["IPAM"]["Config"]
    return not there, str(pool["Gateway"])


def _remove(client: docker.DockerClient, name: str) -> None:
    try:
        client.networks.get(name).remove()
    except docker.errors.APIError:
        # Somebody uses it, or has removed it.
        return


def _require_local(host: str, address: str) -> None:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise Fatal(
                f"the networks of the engine at {host} are not on this machine, so that containers "
                "reach neither pool nor worker here: use an engine of this machine"
            ) from error
