"""What the chain says before a transaction is made: price, nonces, what the wallet has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.chain.node.rpc import NodeRefused, Request, quantity

if TYPE_CHECKING:
    from iexec_worker.chain.node.provider import NodeProvider


@frozen
class Quote:
    """
    Wei and nonces. *network* is the price the network asks, None when it names none.

    *mined* counts the wallet's transactions that are in blocks, *pending* adds those that wait.
    """

    network: int | None
    mined: int
    pending: int
    balance: int


async def quote(provider: NodeProvider, wallet: str) -> Quote:
    """Ask for all in one batch. Raises `Unavailable` and `NodeRefused`."""
    network, *known = await provider.answers(
        [
            Request("eth_gasPrice"),
            Request("eth_getTransactionCount", (wallet, "latest")),
            Request("eth_getTransactionCount", (wallet, "pending")),
            Request("eth_getBalance", (wallet, "latest")),
        ]
    )
    for answer in known:
        if isinstance(answer, NodeRefused):
            raise answer
    mined, pending, balance = map(quantity, known)
    named = isinstance(network, str)
    return Quote(quantity(network) if named else None, mined, pending, balance)
