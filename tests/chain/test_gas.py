from __future__ import annotations

import pytest

from iexec_worker.chain.gas import GasRules, gas_price, transactions_left

GWEI = 10**9


@pytest.mark.parametrize(
    ("network", "multiplier", "cap", "price"),
    [
        (10 * GWEI, 1.0, 22 * GWEI, 10 * GWEI),
        (10 * GWEI, 1.3, 22 * GWEI, 13 * GWEI),
        (20 * GWEI, 1.3, 22 * GWEI, 22 * GWEI),
        (10 * GWEI, 1.0, 0, 0),
        (10 * GWEI, 0.0, 22 * GWEI, 0),
        (0, 1.0, 22 * GWEI, 0),
        (None, 1.3, 22 * GWEI, 22 * GWEI),
        (None, 0.0, 0, 0),
    ],
    ids=["plain", "multiplied", "capped", "cap 0", "multiplier 0", "free", "unknown", "all 0"],
)
def test_price(network: int | None, multiplier: float, cap: int, price: int) -> None:
    assert gas_price(network, multiplier, cap) == price


def test_transactions_left_at_the_cap() -> None:
    one = 1_000_000 * 22 * GWEI

    assert transactions_left(one - 1, 22 * GWEI) == 0
    assert transactions_left(one, 22 * GWEI) == 1
    assert transactions_left(10 * one + 1, 22 * GWEI) == 10


def test_nothing_is_counted_at_cap_0_or_on_a_sidechain() -> None:
    assert transactions_left(0, 0) is None
    assert GasRules(1.0, 22 * GWEI, sidechain=True).left(0) is None
    assert GasRules(1.0, 22 * GWEI).left(0) == 0


def test_a_replacement_pays_an_eighth_more_or_what_the_network_asks_now() -> None:
    rules = GasRules(1.0, 22 * GWEI)

    assert rules.raised(8 * GWEI, None) == 22 * GWEI
    assert rules.raised(8 * GWEI, 8 * GWEI) == 9 * GWEI
    assert rules.raised(8 * GWEI, 15 * GWEI) == 15 * GWEI
    assert rules.raised(8 * GWEI, 99 * GWEI) == 22 * GWEI
    assert rules.raised(0, 0) == 1


def test_no_replacement_above_the_cap() -> None:
    assert GasRules(1.0, 22 * GWEI).raised(20 * GWEI, 30 * GWEI) is None
    assert GasRules(1.0, 0).raised(0, 1) is None
