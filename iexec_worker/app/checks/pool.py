"""Looks at the pool: scheduler, login, config server, result proxy."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import httpx

from iexec_worker.app.checks.finding import Wrong
from iexec_worker.chain.commitments import login_hash
from iexec_worker.errors import Rejected, Unauthorized, WorkerError
from iexec_worker.membership.join import check_version
from iexec_worker.results.proxy import ResultProxy
from iexec_worker.scheduler.config_server import chain_config

if TYPE_CHECKING:
    from iexec_worker.app.checks.facts import Facts

_ASK_THE_POOL: Final = "it is the pool's to mend: tell its manager"


async def scheduler(facts: Facts) -> str:
    """The scheduler answers, manages our pool, and takes workers of our version."""
    url, ours = facts.config.scheduler.url, facts.config.scheduler.pool_address
    try:
        config = await facts.api.config()
        version = await facts.api.version()
    except WorkerError as error:
        raise Wrong(
            str(error), "check IEXEC_CORE_URL (or _PROTOCOL, _HOST, _PORT) and the way there"
        ) from error
    facts.scheduler_date = await _date(facts, url)
    facts.pool = config
    if config.pool_address.lower() != ours:
        raise Wrong(
            f"{url} manages workerpool {config.pool_address}, POOL_ADDRESS is {ours}",
            "set POOL_ADDRESS to the pool's, or IEXEC_CORE_URL to its scheduler",
        )
    check_version(config.required_worker_version)
    return f"version {version} at {url}, pool {ours}"


async def _date(facts: Facts, url: str) -> tuple[float, float] | None:
    """The scheduler's clock (to the second) and ours, None when it tells none."""
    try:
        response = await facts.clients.pool.get(f"{url}/version")
        told = parsedate_to_datetime(response.headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return None
    return told.timestamp(), time.time()


async def login(facts: Facts) -> str:
    """The pool lets this wallet in."""
    assert facts.wallet is not None, "looked at after the wallet"
    address = facts.wallet.address
    try:
        challenge = await facts.api.challenge(address)
        await facts.api.login(address, facts.wallet.sign_hash(login_hash(challenge)))
    except (Unauthorized, Rejected) as error:
        raise Wrong(
            f"the pool does not let {address} in", "ask its manager to put it on the whitelist"
        ) from error
    return f"{address} is let in"


async def config_server(facts: Facts) -> str:
    """The config server says which chain the pool works on."""
    assert facts.pool is not None, "looked at after the scheduler"
    url = facts.pool.config_server_url
    try:
        facts.chain = await chain_config(facts.clients.pool, url)
    except WorkerError as error:
        raise Wrong(str(error), f"open the way to it; else {_ASK_THE_POOL}") from error
    chain = facts.chain
    return f"{url}: chain {chain.chain_id}, hub {chain.hub_address}"


async def result_proxy(facts: Facts) -> str:
    """The result proxy answers."""
    assert facts.pool is not None, "looked at after the scheduler"
    url = facts.pool.result_proxy_url
    if not url:
        raise Wrong("the pool names no result proxy", _ASK_THE_POOL)
    try:
        version = await ResultProxy(facts.clients.pool, url).version()
    except WorkerError as error:
        raise Wrong(str(error), f"open the way to it; else {_ASK_THE_POOL}") from error
    return f"version {version} at {url}"
