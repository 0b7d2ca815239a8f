from __future__ import annotations

import pytest

from iexec_worker.devpool.chaos.plan import Injection, make_plan

WEIGHTS = {"often": 9, "seldom": 1}


def plan(seed: int = 1, *, count: int = 100) -> tuple[Injection, ...]:
    return make_plan(seed, weights=WEIGHTS, count=count, duration=60.0, workers=3)


def test_a_plan_follows_from_its_seed() -> None:
    assert plan(1) == plan(1)
    assert plan(1) != plan(2)


def test_a_plan_is_in_the_order_of_its_times_and_within_them() -> None:
    times = [injection.at for injection in plan()]

    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] <= 60


def test_what_weighs_more_comes_more_often() -> None:
    kinds = [injection.kind for injection in plan()]

    assert kinds.count("often") > kinds.count("seldom") > 0


@pytest.mark.parametrize("seed", range(10))
def test_every_kind_comes_up_when_there_are_enough_faults(seed: int) -> None:
    assert {injection.kind for injection in plan(seed, count=2)} == {"often", "seldom"}


def test_every_worker_is_hit() -> None:
    assert {injection.worker for injection in plan()} == {0, 1, 2}


def test_a_quantity_is_as_strong_as_its_fault() -> None:
    assert Injection(0, "delay", 0, 0, 0.5).between(2, 4) == 3
