"""Real workers cut at random steps, on the real stack: the same end as without a cut."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.devpool.scheduler.state import ENDED
from iexec_worker.model import TaskStatus
from iexec_worker.wire import Status
from tests.integration.cutting import Mortal, draw
from tests.integration.shop import Order
from tests.looking import until

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Place
    from tests.integration.shop import Bought, Shop

#: Tasks at a time of one worker.
_SLOTS: Final = 3

#: Like those of `chaos`: a part may be cut as often as it comes.
_HARDENED: Final = {"IEXEC_WORKER_RESTART_INTENSITY": "1000"}

#: Seconds that one point may take, and the last tasks beyond the last point.
_PER_POINT: Final = 15.0
_AFTERWARDS: Final = 120.0


async def counted(pool: Pool, event: str, bought: Bought) -> int:
    hub = pool.village.contracts.hub
    topics = [hub.abi.topic(event), bought.task_id]
    return len(await pool.node.rpc.logs(hub.address, topics, first=0))


def ended(pool: Pool, bought: Bought) -> bool:
    task = pool.scheduler.store.tasks.get(bought.task_id)
    over = {Status.COMPLETED, Status.ABORTED, Status.FAILED}
    return (
        task is not None
        and task.state in ENDED
        and all(replicate.relevant in over for replicate in task.replicates.values())
    )


async def clean(place: Place, engine_url: str) -> bool:
    found = await trio.to_thread.run_sync(place.containers, engine_url)
    return not found and not place.task_folders()


async def keep_busy(pool: Pool, shop: Shop, mortals: list[Mortal]) -> list[Bought]:
    """Buy tasks as long as somebody is to be cut; returns when the last of them has ended."""
    bought: list[Bought] = []
    while not all(mortal.done.is_set() for mortal in mortals):
        open_ones = sum(not ended(pool, one) for one in bought)
        if open_ones < _SLOTS * len(mortals):
            bought.append(await shop.buy(Order("sleep=0.3")))
        else:
            await trio.sleep(0.1)
    with trio.fail_after(_AFTERWARDS):
        while not all(ended(pool, one) for one in bought):  # noqa: ASYNC110 - the pool sets no event
            await trio.sleep(0.1)
    return bought


@pytest.mark.timeout(3600)
async def test_a_worker_cut_at_any_step_ends_what_it_has_begun(
    pytestconfig: pytest.Config, seed: int, pool: Pool, agency: Agency, shop: Shop
) -> None:
    points: int = pytestconfig.getoption("--chaos-points")
    plans = draw(seed, points, workers=1 if points < 20 else 3)
    mortals = [Mortal(await agency.place(_SLOTS, _HARDENED), os.environ, plan) for plan in plans]
    async with trio.open_nursery() as nursery:
        for mortal in mortals:
            nursery.start_soon(mortal.run)
        with trio.fail_after(points * _PER_POINT + _AFTERWARDS):
            bought = await keep_busy(pool, shop, mortals)
        for mortal in mortals:
            await until(partial(clean, mortal.place, agency.engine_url))
        nursery.cancel_scope.cancel()

    problems = [problem for one in bought for problem in await wrong(pool, one)]
    errors = [e for m in mortals for e in m.events() if e["level"] in ("error", "critical")]
    cuts = [cut for mortal in mortals for cut in mortal.cuts_made()]
    told = f"--chaos-seed {seed}, {len(cuts)} cuts, {len(bought)} tasks"
    assert (problems, errors) == ([], []), told
    assert len(cuts) == points, told


async def wrong(pool: Pool, bought: Bought) -> list[str]:
    """What of a task is not as it is without a cut."""
    onchain = await pool.chain.task(bought.task_id)
    assert onchain is not None
    (replicate,) = pool.scheduler.store.tasks[bought.task_id].replicates.values()
    found = {
        "on-chain": (onchain.status, TaskStatus.COMPLETED),
        "told": (replicate.relevant, Status.COMPLETED),
        "link": (bool(onchain.results), True),
        "contributions": (await counted(pool, "TaskContribute", bought), 1),
        "reveals": (await counted(pool, "TaskReveal", bought), 1),
    }
    return [
        f"{bought.task_id}: {what} is {is_}, not {should}"
        for what, (is_, should) in found.items()
        if is_ != should
    ]
