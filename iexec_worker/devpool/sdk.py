"""What the iExec SDK needs to buy from an embedded pool: files to copy into a project of its."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import trio

from iexec_worker.devpool.contracts import category_id

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
    """
    key = pool.requester_keys[0]
    order = pool.market.offer(pool.chain.pool_address, category_id(_TIME))
    return {
        "chain.json": pool.chain_json(),
        "wallet.json": {"privateKey": key, "address": pool.node.sender(key).address},
        "orders.json": {str(pool.chain.chain_id): {"workerpoolorder": order}},
    }
