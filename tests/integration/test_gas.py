"""What transactions are paid with: the price that is offered, and what happens without any gas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import pytest
import trio

from tests.integration.shop import Order, quick
from tests.looking import until

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from tests.integration.hired import Agency, Hired
    from tests.integration.shop import Bought, Shop

LIMIT: Final = 50
GWEI: Final = 10**9


@pytest.fixture
def options(tmp_path: Path) -> PoolOptions:
    """A chain whose gas costs something: 1 gwei, says its node."""
    options = quick(tmp_path / "pool")
    return attrs.evolve(options, scheduler=attrs.evolve(options.scheduler, sidechain=False))


async def _price(pool: Pool, event: str, bought: Bought) -> int:
    """The gas price in wei of the transaction that caused *event*."""
    hub, rpc = pool.village.contracts.hub, pool.node.rpc
    (found,) = await rpc.logs(hub.address, [hub.abi.topic(event), bought.task_id], first=0)
    transaction = await rpc.call("eth_getTransactionByHash", found["transactionHash"])
    assert transaction["type"] == "0x0"
    return int(transaction["gasPrice"], 16)


async def test_the_price_is_the_networks_times_the_multiplier_up_to_the_cap(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    async def prices(multiplier: str, cap: str) -> list[int]:
        worker = await agency.start(
            {"IEXEC_GAS_PRICE_MULTIPLIER": multiplier, "IEXEC_GAS_PRICE_CAP": cap}
        )
        bought = await shop.buy(Order())
        ended = await shop.over(bought, worker.wallet)
        ended.completed()
        await worker.stop()
        return [await _price(pool, event, bought) for event in ("TaskContribute", "TaskReveal")]

    with trio.fail_after(LIMIT):
        # What the first transaction pays makes the network ask more for the second.
        assert (await prices("1.5", str(20 * GWEI)))[0] == 1.5 * GWEI
        assert await prices("1000", str(7 * GWEI)) == [7 * GWEI, 7 * GWEI]
        assert await prices("1.3", "0") == [0, 0]
        assert await prices("0", str(20 * GWEI)) == [0, 0]


async def test_without_gas_a_worker_stays_says_why_and_asks_for_nothing_until_there_is_some(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    place = await agency.place(1, {})
    await pool.node.set_balance(place.wallet.address, 0)
    bought = await shop.buy(Order())
    with trio.fail_after(LIMIT):
        worker = await agency.start(again=place)
        await _says(worker, "out of gas")
        assert pool.record.calls("GET /replicates/available") == []
        assert (await worker.get("/actuator/health")).status_code == 200

        await pool.node.set_balance(place.wallet.address, 10**18)
        ended = await shop.over(bought, worker.wallet)
        await worker.ready()

    ended.completed()


async def _says(worker: Hired, reason: str) -> None:
    async def said() -> bool:
        answer = await worker.get("/actuator/health/readiness?details=true")
        gas = str(answer.json()["components"].get("gas"))
        return answer.status_code == 503 and reason in gas and worker.wallet in gas

    await until(said)


async def test_gas_is_kept_back_for_the_reveal_of_the_task_at_hand(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    cap = 22 * GWEI
    place = await agency.place(2, {})
    # Enough for one task, and not for two at the highest price.
    await pool.node.set_balance(place.wallet.address, 1_150_000 * cap)
    with trio.fail_after(LIMIT):
        worker = await agency.start(again=place)
        first, second = await shop.buy(Order("sleep=4")), await shop.buy(Order())
        await _says(worker, "kept back")
        assert len(worker.task_folders()) == 1
        assert (await worker.get("/actuator/health")).status_code == 200
        for bought in (first, second):
            ended = await shop.over(bought, worker.wallet)
            ended.completed()
        await worker.ready()
