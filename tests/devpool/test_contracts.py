from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iexec_worker.devpool.chain.contracts import CATEGORIES, category_id
from iexec_worker.errors import Reverted

if TYPE_CHECKING:
    from tests.devpool.conftest import Village

pytestmark = [pytest.mark.node, pytest.mark.slow]


async def view(village: Village, function: str, *values: object) -> Any:  # noqa: ANN401
    hub = village.contracts.hub
    return await village.node.rpc.view(hub.address, hub.abi, function, *values)


async def test_the_hub_knows_its_owner_and_its_registries(village: Village) -> None:
    contracts = village.contracts

    assert await view(village, "owner") == village.node.sender(village.node.keys[0]).address
    assert await view(village, "appregistry") == contracts.apps.address
    assert await view(village, "datasetregistry") == contracts.datasets.address
    assert await view(village, "workerpoolregistry") == contracts.workerpools.address
    assert await view(village, "symbol") == "SRLC"


async def test_orders_are_bound_to_this_hub_and_chain(village: Village) -> None:
    assert await view(village, "domain") == {
        "name": "iExecODB",
        "version": "5.0.0",
        "chainId": village.node.chain_id,
        "verifyingContract": village.contracts.hub.address,
    }


async def test_categories_have_their_ids(village: Village) -> None:
    assert await view(village, "countCategory") == len(CATEGORIES)
    for category in CATEGORIES:
        assert await village.chain.category_time(category_id(category.time)) == category.time


async def test_an_unknown_category_is_refused(village: Village) -> None:
    with pytest.raises(Reverted):
        await village.chain.category_time(len(CATEGORIES))


async def test_deposits_count_in_nrlc(village: Village) -> None:
    await village.market.fund_worker(village.worker.address, gas_wei=7, stake_nrlc=1_000)

    account = await view(village, "viewAccount", village.worker.address)
    assert account == {"stake": 1_000, "locked": 0}
    assert await village.chain.balance(village.worker.address) == 7


async def test_coins_sent_to_the_hub_are_a_deposit(village: Village) -> None:
    await village.worker.send(village.contracts.hub.address, value=3 * 10**9)

    account = await view(village, "viewAccount", village.worker.address)
    assert account["stake"] == 3


def test_there_is_a_category_for_each_speed_of_test() -> None:
    assert [category_id(time) for time in (300, 5, 20, 60, 120)] == [0, 5, 6, 7, 8]
    with pytest.raises(ValueError, match="is not in list"):
        category_id(1)
