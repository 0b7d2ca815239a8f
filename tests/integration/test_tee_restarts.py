"""A worker that is killed in any stage of a TEE task and started again ends it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.model import ContributionStatus, TaskStatus, TeeFramework
from iexec_worker.wire import Status
from tests.integration import evidence
from tests.integration.moments import computed
from tests.integration.shop import Dataset, Order, Trusted, quick
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Hired
    from tests.integration.house import House, Site
    from tests.integration.shop import Bought

F = TeeFramework

_LIMIT: Final = 90

#: Long enough for a part to be met, and not so long that its container outlives a start.
_TAKES: Final = 2


@pytest.fixture
def options(tmp_path: Path, house: House) -> PoolOptions:
    return house.options(quick(tmp_path / "pool"))


def order_for(moment: object, framework: TeeFramework) -> Order:
    """A task whose parts take no time, but for the one that is to be met."""
    pre, app, post = (
        f"sleep={_TAKES if moment is part else 0}"
        for part in (in_pre_compute, in_the_app, in_post_compute)
    )
    return Order(
        f"{app} post:{post}",
        image="trusted",
        dataset=Dataset(f"pre-compute: {pre}\nand more\n".encode()),
        trusted=Trusted(framework),
    )


async def opening_its_session(pool: Pool, worker: Hired, task_id: str) -> None:
    sessions = [pool.faults.on("POST /tee/sessions").hang(times=1)]
    await pool.record.until_told(task_id, Status.STARTING, worker.wallet)
    await sessions[0].hit()


async def in_pre_compute(pool: Pool, worker: Hired, task_id: str) -> None:
    await until(lambda: has(worker, f"{task_id}-tee-pre-compute"))


async def in_the_app(pool: Pool, worker: Hired, task_id: str) -> None:
    await until(lambda: has(worker, task_id))


async def in_post_compute(pool: Pool, worker: Hired, task_id: str) -> None:
    await until(lambda: has(worker, f"{task_id}-tee-post-compute"))


async def finalised(pool: Pool, worker: Hired, task_id: str) -> None:
    """Wait until the transaction is mined, and keep the news of it from the pool."""
    await pool.record.until_told(task_id, Status.CONTRIBUTE_AND_FINALIZE_ONGOING, worker.wallet)
    news = pool.faults.on("POST /replicates/*/updateStatus").hang(times=1)
    await news.hit()
    found = await pool.chain.contribution(task_id, worker.wallet)
    assert found.status is ContributionStatus.PROVED


async def has(worker: Hired, name: str) -> bool:
    """True iff its container of that name is there."""
    found = await trio.to_thread.run_sync(worker.containers, name)
    return f"{worker.place.name}-{name}" in found


@pytest.mark.parametrize(
    ("moment", "framework"),
    [
        (opening_its_session, F.GRAMINE),
        (in_pre_compute, F.SCONE),
        (in_the_app, F.TDX),
        (in_the_app, F.SCONE),
        (in_post_compute, F.GRAMINE),
        (in_post_compute, F.TDX),
        (computed, F.SCONE),
        (finalised, F.GRAMINE),
    ],
)
async def test_a_killed_worker_finalises_once(
    moment: Callable[[Pool, Hired, str], Awaitable[None]], framework: TeeFramework, site: Site
) -> None:
    with trio.fail_after(_LIMIT):
        first = await site.worker()
        bought = await site.shop.buy(order_for(moment, framework))
        await moment(site.pool, first, bought.task_id)
        first.kill()
        await first.dismiss()
        second = await site.worker(again=first.place)
        ended = await site.shop.over(bought, second.wallet)
        await second.tidy()

    assert ended.told[-1] is Status.COMPLETED
    assert ended.told == sorted(set(ended.told), key=list(Status).index)
    assert ended.onchain.status is TaskStatus.COMPLETED
    assert ended.onchain.result_digest == evidence.digest_of(ended.files)
    assert await _contributions(site.pool, bought) == 1
    sent = await site.pool.node.rpc.call("eth_getTransactionCount", second.wallet, "latest")
    assert int(sent, 16) == 1
    # The second life starts one of its own, and its janitor removes the first one's.
    own = int(framework is F.SCONE and moment is not computed)

    async def only_its_own() -> bool:
        return len(await site.las(second)) == own

    await until(only_its_own)
    await second.stop()
    assert await site.las(second) == []


async def _contributions(pool: Pool, bought: Bought) -> int:
    hub = pool.village.contracts.hub
    topics = [hub.abi.topic("TaskContribute"), bought.task_id]
    return len(await pool.node.rpc.logs(hub.address, topics, first=0))
