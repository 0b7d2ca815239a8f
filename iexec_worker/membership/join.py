"""What must be known of a pool, and hold, before a worker can join it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker import PROTOCOL_FIRST, PROTOCOL_LAST
from iexec_worker.errors import Fatal
from iexec_worker.scheduler.config_server import chain_config

if TYPE_CHECKING:
    import httpx

    from iexec_worker.model import ChainConfig, PoolConfig
    from iexec_worker.scheduler.api import SchedulerApi


@frozen
class Terms:
    """A pool as its scheduler and its config server describe it."""

    version: str
    config: PoolConfig
    chain: ChainConfig


async def ask(api: SchedulerApi, client: httpx.AsyncClient, pool_address: str) -> Terms:
    """Ask scheduler and config server. Raises `Unavailable`, and `Fatal` for what never fits."""
    config = await api.config()
    check_version(config.required_worker_version)
    if config.pool_address.lower() != pool_address:
        raise Fatal(
            f"the scheduler manages workerpool {config.pool_address}, POOL_ADDRESS is "
            f"{pool_address}: set it to the pool's, or IEXEC_CORE_URL to its scheduler"
        )
    return Terms(await api.version(), config, await chain_config(client, config.config_server_url))


def check_version(required: str) -> None:
    """Raise `Fatal` unless *required* is empty or a protocol version that we speak."""
    if not required.strip():
        return
    found = re.match(r"v?(\d+)\.(\d+)", required.strip())
    if found and PROTOCOL_FIRST <= (int(found[1]), int(found[2])) <= PROTOCOL_LAST:
        return
    first, last = (".".join(map(str, version)) for version in (PROTOCOL_FIRST, PROTOCOL_LAST))
    raise Fatal(
        f"the pool requires worker version {required}, this worker speaks {first} to {last}: "
        "update it, or ask the pool's manager"
    )
