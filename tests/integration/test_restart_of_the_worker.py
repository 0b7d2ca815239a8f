"""A worker that is killed and started again in the same place ends what it had begun, once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.wire import Status
from tests.integration.moments import computed, computing, contributed, mined
from tests.integration.shop import Order
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.devpool.http.record import Exchange
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Bought, Shop

_LIMIT: Final = 60

#: Seconds from a kill to the next status: what is promised where the pool makes nobody wait.
_RECOVERY: Final = 5.0


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


async def test_a_killed_worker_sends_its_next_status_within_five_seconds(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    seconds: list[float] = []
    with trio.fail_after(3 * _LIMIT):
        worker = await agency.start()
        for moment in (computed, mined, computing):
            bought = await shop.buy(Order())
            await moment(pool, worker, bought.task_id)
            worker, recovery = await _killed(pool, agency, worker, bought)
            seconds.append(recovery)
            ended = await shop.over(bought, worker.wallet)
            assert ended.told[-1] is Status.COMPLETED

    assert max(seconds) < _RECOVERY, seconds


async def _killed(pool: Pool, agency: Agency, worker: Hired, bought: Bought) -> tuple[Hired, float]:
    """Kill it and start it again; returns it, and the seconds until it had something to say."""
    killed = time.time()
    worker.kill()
    await worker.dismiss()
    again = await agency.start(again=worker.place)

    def news() -> list[Exchange]:
        calls = pool.record.calls(f"POST /replicates/{bought.task_id}/updateStatus")
        return [call for call in calls if call.at > killed]

    async def sent() -> bool:
        return bool(news())

    await until(sent, limit=_LIMIT)
    return again, news()[0].at - killed - _kept_waiting(again)


def _kept_waiting(worker: Hired) -> float:
    """Seconds for which it was ready to run and others had the processors: not its slowness."""
    schedstat = Path(f"/proc/{worker.process.child.process.pid}/schedstat")
    return int(schedstat.read_text().split()[1]) / 1e9
