"""A node that forgets, blocks that are reorganised away: what was sent once is mined once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.chain.transactions.signed import SignedTx
from iexec_worker.model import ContributionStatus
from iexec_worker.wire import Status
from tests.integration.moments import computing, contributed
from tests.integration.shop import Order
from tests.looking import until

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Shop

_LIMIT: Final = 90


async def _sent(pool: Pool, worker: Hired, block: str = "latest") -> int:
    return int(await pool.node.rpc.call("eth_getTransactionCount", worker.wallet, block), 16)


def _signed(worker: Hired, task_id: str) -> list[str]:
    """The contribution that the worker has written down."""
    journal = worker.place.tasks / task_id / "journal.json"
    found: list[str] = json.loads(journal.read_text())["record"]["signed"]["contribute"]
    return found


async def _forget(pool: Pool) -> None:
    await pool.node.rpc.call("anvil_dropAllTransactions")


async def test_a_contribution_that_only_a_killed_worker_knew_is_sent_again_as_it_was(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(_LIMIT):
        first = await agency.start()
        bought = await shop.buy(Order("sleep=2"))
        await computing(pool, first, bought.task_id)
        await pool.node.hold()

        async def waits() -> bool:
            return await _sent(pool, first, "pending") == 1

        await until(waits)
        signed = _signed(first, bought.task_id)
        first.kill()
        await first.dismiss()
        await _forget(pool)
        second = await agency.start(again=first.place)
        await until(waits)
        assert _signed(second, bought.task_id) == signed
        await pool.node.release()
        ended = await shop.over(bought, second.wallet)

    ended.completed()
    assert await _sent(pool, second) == 2
    found = await _event(pool, "TaskContribute", bought.task_id)
    assert SignedTx.from_hex(signed[0]).tx_hash == found["transactionHash"]


async def test_a_contribution_whose_block_is_reorganised_away_stands_again(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(_LIMIT):
        first = await agency.start()
        bought = await shop.buy(Order("agreed", trust=5))
        await contributed(pool, first, bought.task_id)
        signed = _signed(first, bought.task_id)
        await _reorganise(pool, "TaskContribute", bought.task_id)

        async def stands() -> bool:
            found = await pool.chain.contribution(bought.task_id, first.wallet)
            return found.status is ContributionStatus.CONTRIBUTED

        await until(stands)
        assert _signed(first, bought.task_id) == signed
        for _ in range(2):
            await agency.start()
        ended = await shop.over(bought, first.wallet)

    assert ended.told[-1] is Status.COMPLETED
    ended.completed()
    assert await _sent(pool, first) == 2


async def _event(pool: Pool, event: str, task_id: str) -> dict[str, str]:
    hub = pool.village.contracts.hub
    (found,) = await pool.node.rpc.logs(hub.address, [hub.abi.topic(event), task_id], first=0)
    return dict(found)


async def _reorganise(pool: Pool, event: str, task_id: str) -> None:
    """Replace the block of *event* and all after it by empty ones; nobody remembers a thing."""
    first = int((await _event(pool, event, task_id))["blockNumber"], 16)
    head = (await pool.chain.latest_block()).number
    await pool.node.rpc.call("anvil_reorg", head - first + 1, [])
    await _forget(pool)
