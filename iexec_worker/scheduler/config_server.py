"""The config server: which chain the pool works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iexec_worker.errors import Rejected, Unavailable
from iexec_worker.scheduler import messages
from iexec_worker.scheduler.exchange import ask, json_of

if TYPE_CHECKING:
    import httpx

    from iexec_worker.model import ChainConfig


async def chain_config(client: httpx.AsyncClient, url: str) -> ChainConfig:
    """
    Ask the config server at *url* (from `PoolConfig.config_server_url`). One request.

    Raises `Unavailable`, and `Rejected` when the pool named no config server at all.
    """
    if not url:
        raise Rejected(
            "the pool's /workers/config names no config server (configServerUrl and"
            " blockchainAdapterUrl are empty); its operator has to set one"
        )
    response = await ask(client, "GET", f"{url}/config/chain")
    try:
        return messages.chain_config(json_of(response))
    except ValueError as error:
        raise Unavailable(f"GET {url}/config/chain: cannot be read: {error}") from error
