"""What must be known of a pool, and hold, before a worker can join it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.errors import Fatal
from iexec_worker.scheduler.config_server import chain_config
from iexec_worker.versions import PROTOCOL_RANGE, is_spoken, parse

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
    if is_spoken(parse(required)):
        return
    raise Fatal(
        f"the pool requires worker version {required}, this worker speaks "
        f"{' to '.join(PROTOCOL_RANGE)}: "
        "update it, or ask the pool's manager"
    )
