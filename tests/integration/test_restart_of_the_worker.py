"""A worker that is killed and started again in the same place ends what it had begun, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.wire import Status
from tests.integration.moments import computed, computing, contributed, mined
from tests.integration.shop import Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Bought, Shop

_LIMIT: Final = 60


async def _events(pool: Pool, event: str, bought: Bought) -> int:
    hub = pool.village.contracts.hub
    topics = [hub.abi.topic(event), bought.task_id]
    return len(await pool.node.rpc.logs(hub.address, topics, first=0))


@pytest.mark.parametrize("moment", [computing, computed, mined, contributed])
async def test_a_killed_worker_contributes_and_reveals_once(
    moment: Callable[[Pool, Hired, str], Awaitable[None]], pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(_LIMIT):
        first = await agency.start()
        bought = await shop.buy(Order("sleep=3"))
        await moment(pool, first, bought.task_id)
        first.kill()
        await first.dismiss()
        second = await agency.start(again=first.place)
        ended = await shop.over(bought, second.wallet)
        await second.tidy()

    assert ended.told[-1] is Status.COMPLETED
    ended.completed()
    assert ended.told == sorted(set(ended.told), key=list(Status).index)
    assert await _events(pool, "TaskContribute", bought) == 1
    assert await _events(pool, "TaskReveal", bought) == 1
    sent = await pool.node.rpc.call("eth_getTransactionCount", second.wallet, "latest")
    assert int(sent, 16) == 2
