"""Tasks that several workers compute, because their requester trusts none alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from iexec_worker.model import ContributionStatus
from iexec_worker.wire import Status
from tests.integration import evidence
from tests.integration.shop import Order

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Bought, Ended, Shop


async def start(agency: Agency, count: int) -> list[Hired]:
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(agency.start)
    return agency.hired


async def all_over(shop: Shop, bought: Bought, workers: list[Hired]) -> list[Ended]:
    ends: list[Ended] = []

    async def wait(worker: Hired) -> None:
        ends.append(await shop.over(bought, worker.wallet))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for worker in workers:
                nursery.start_soon(wait, worker)
    return ends


async def test_trust_5_takes_three_workers_who_agree_and_one_who_uploads(
    agency: Agency, shop: Shop
) -> None:
    workers = await start(agency, 3)
    bought = await shop.buy(Order("agreed", trust=5))
    ends = await all_over(shop, bought, workers)

    assert all(ended.contribution.status is ContributionStatus.PROVED for ended in ends)
    tails = sorted(ended.told[ended.told.index(Status.REVEALED) + 1 :] for ended in ends)
    waited = [Status.COMPLETING, Status.COMPLETED]
    assert tails == [waited, waited, [Status.RESULT_UPLOADING, Status.RESULT_UPLOADED, *waited]]
    ends[0].completed()


async def test_a_minority_with_another_result_is_aborted(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    workers = await start(agency, 5)
    bought = await shop.buy(Order("", inputs=(b"what all see\n",), trust=5))
    # Whoever comes first gets something else, as from a source that changes.
    path = bought.inputs[0].removeprefix(pool.result_proxy_url)
    pool.faults.on(f"GET {path}").body(b"what one sees\n", times=1)
    ends = await all_over(shop, bought, workers)

    # Its contribution stays where it is, neither revealed nor paid.
    (minority,) = (e for e in ends if e.contribution.status is not ContributionStatus.PROVED)
    assert minority.told[-2:] == [Status.CONTRIBUTED, Status.ABORTED]
    assert minority.cause(Status.ABORTED) == "CONSENSUS_REACHED"
    for ended in ends:
        if ended is not minority:
            assert Status.REVEALED in ended.told
            assert ended.told[-1] is Status.COMPLETED
    result = await shop.look(bought, minority.wallet)
    assert result.contribution.status is ContributionStatus.CONTRIBUTED
    seen = evidence.sha256(b"what all see\n").removeprefix("0x")
    assert seen in result.completed()["result.txt"].decode()
