"""What the iExec SDK needs to buy from an embedded pool: files to copy into a project of its."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import trio

from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.model import ZERO_HASH

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.pool import Pool

#: Seconds of the category on offer: the limit of one computation, enough for anybody's own app.
_TIME: Final = 3_600


async def write(pool: Pool, folder: Path) -> None:
    """Write the files into *folder*, over those of an earlier pool."""
    await trio.Path(folder).mkdir(parents=True, exist_ok=True)
    for name, content in files(pool).items():
        await trio.Path(folder / name).write_text(json.dumps(content, indent=2) + "\n")


def files(pool: Pool) -> dict[str, dict[str, Any]]:
    """
    Return the SDK's files by name.

    The chain; a wallet of a developer and requester with coins; and the pool's order, for there is
    no marketplace to find it at. The wallet is not encrypted: every anvil has the same keys.

    For each TEE framework of the pool there is an order that may take the place of `orders.json`,
    which stays as it is: some versions of the SDK take no orders with the tags of others.
    """
    key = pool.requester_keys[0]
    tagged = {f"orders-{f.name.lower()}.json": _orders(pool, tag_of(f)) for f in pool.sms}
    return {
        "chain.json": pool.chain_json(),
        "wallet.json": {"privateKey": key, "address": pool.node.sender(key).address},
        "orders.json": _orders(pool, ZERO_HASH),
        **tagged,
    }


def _orders(pool: Pool, tag: str) -> dict[str, Any]:
    order = pool.market.offer(pool.chain.pool_address, category_id(_TIME), tag)
    return {str(pool.chain.chain_id): {"workerpoolorder": order}}
