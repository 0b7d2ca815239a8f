from __future__ import annotations

import secrets

import pytest
import trio

from iexec_worker.engine.networks.tenancy import Tenancy


@pytest.fixture
def name() -> str:
    return f"tests/{secrets.token_hex(8)}"


def test_the_last_to_leave_is_told(name: str) -> None:
    one, other = Tenancy(name), Tenancy(name)
    assert not one.is_used()
    one.enter()
    other.enter()
    one.leave()
    assert one.is_used()
    other.leave()
    assert not one.is_used()


async def test_one_waits_for_another(name: str) -> None:
    order: list[str] = []

    async def second() -> None:
        async with Tenancy(name).alone():
            order.append("second")

    async with trio.open_nursery() as nursery, Tenancy(name).alone():
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked(0.01)
        order.append("first")

    assert order == ["first", "second"]


async def test_one_that_never_lets_go_is_not_waited_for_for_ever(
    name: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with Tenancy(name).alone(), Tenancy(name).alone():
        assert trio.current_time() == pytest.approx(10)
