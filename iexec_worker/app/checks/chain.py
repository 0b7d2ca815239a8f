"""Looks at the chain: node, chain id, gas, stake."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from iexec_worker.app.checks.finding import Odd, Wrong
from iexec_worker.chain.gas import FEW_TRANSACTIONS, GasRules
from iexec_worker.chain.hub import Hub
from iexec_worker.errors import Unavailable, WorkerError

if TYPE_CHECKING:
    from iexec_worker.app.checks.facts import Facts

_OVERRIDE: Final = "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS"

_COIN: Final = 10**18
_RLC: Final = 10**9


async def node(facts: Facts) -> str:
    """The node answers and has a block."""
    provider = await facts.node()
    try:
        head = await provider.head()
    except WorkerError as error:
        raise Wrong(str(error), f"open the way to it, or name another in {_OVERRIDE}") from error
    facts.head = head, time.time()
    return f"{provider.host}, block {head.number}"


async def chain_id(facts: Facts) -> str:
    """Node and pool are on one chain."""
    assert facts.chain is not None, "looked at after the config server"
    found = await (await facts.node()).chain_id()
    if found != facts.chain.chain_id:
        raise Wrong(
            f"the node is of chain {found}, the pool works on chain {facts.chain.chain_id}",
            f"correct {_OVERRIDE}",
        )
    return str(found)


async def gas(facts: Facts) -> str:
    """The wallet can pay for transactions."""
    assert facts.chain is not None, "looked at after the config server"
    hub, config = await _hub(facts), facts.config.chain
    balance = await hub.balance(hub.wallet)
    rules = GasRules(config.gas_price_multiplier, config.gas_price_cap, facts.chain.sidechain)
    left = rules.left(balance)
    if left is None:
        return f"{balance / _COIN:g} coins; this chain needs none"
    fact = f"{balance / _COIN:g} coins pay for {left} transactions at the highest price"
    fix = f"send native tokens to {hub.wallet}"
    if left < 1:
        raise Wrong(fact, fix)
    if left < FEW_TRANSACTIONS:
        raise Odd(fact, fix)
    return fact


async def stake(facts: Facts) -> str:
    """There is a deposit to stake: most tasks ask for one."""
    hub = await _hub(facts)
    account = await hub.account(hub.wallet)
    fact = f"{account.stake / _RLC:g} RLC free, {account.locked / _RLC:g} RLC locked in tasks"
    if not account.stake:
        raise Odd(
            fact, f"deposit RLC for {hub.wallet} (iExec account): tasks with a stake are refused"
        )
    return fact


async def _hub(facts: Facts) -> Hub:
    assert facts.chain is not None, "looked at after the config server"
    assert facts.wallet is not None, "looked at after the wallet"
    return Hub(await facts.node(), facts.chain.hub_address, facts.wallet.address, _no_block)


async def _no_block() -> None:
    raise Unavailable("nobody waits for blocks here")
