"""A worker that is killed and started again in the same place ends what it had begun, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Status
from tests.integration.hired import until
from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Bought, Shop

_LIMIT: Final = 60


async def _computing(pool: Pool, worker: Hired, task_id: str) -> None:
    async def runs() -> bool:
        return bool(await trio.to_thread.run_sync(worker.containers, task_id))

    await pool.record.until_told(task_id, Status.COMPUTING)
    await until(runs)


async def _computed(pool: Pool, worker: Hired, task_id: str) -> None:
    await pool.record.until_told(task_id, Status.COMPUTED, worker.wallet)


async def _mined(pool: Pool, worker: Hired, task_id: str) -> None:
    """The contribution is on-chain and the pool has not been told."""
    await pool.record.until_told(task_id, Status.CONTRIBUTING, worker.wallet)

    async def contributed() -> bool:
        found = await pool.chain.contribution(task_id, worker.wallet)
        return found.status is ContributionStatus.CONTRIBUTED

    await until(contributed)


async def _contributed(pool: Pool, worker: Hired, task_id: str) -> None:
    await pool.record.until_told(task_id, Status.CONTRIBUTED, worker.wallet)


async def _events(pool: Pool, event: str, bought: Bought) -> int:
    hub = pool.village.contracts.hub
    topics = [hub.abi.topic(event), bought.task_id]
    return len(await pool.node.rpc.logs(hub.address, topics, first=0))


@pytest.mark.parametrize("moment", [_computing, _computed, _mined, _contributed])
async def test_a_killed_worker_contributes_and_reveals_once(
    moment: object, pool: Pool, agency: Agency, shop: Shop
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
    assert ended.onchain.status is TaskStatus.COMPLETED
    assert ended.told == sorted(set(ended.told), key=list(Status).index)
    assert await _events(pool, "TaskContribute", bought) == 1
    assert await _events(pool, "TaskReveal", bought) == 1
    sent = await pool.node.rpc.call("eth_getTransactionCount", second.wallet, "latest")
    assert int(sent, 16) == 2
