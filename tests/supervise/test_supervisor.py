"""Supervision: who is started again, when it gives up, and what is seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.errors import Fatal, Unavailable
from iexec_worker.supervise import (
    FOREVER,
    Backoff,
    Escalated,
    Intensity,
    Policy,
    Restart,
    describe,
    every,
    supervise,
)
from iexec_worker.telemetry.tree import Node, State
from tests.supervise.conftest import QUICK, Scripted

if TYPE_CHECKING:
    from collections.abc import MutableMapping

pytestmark = pytest.mark.logs_errors


async def test_a_permanent_service_that_fails_is_started_again(autojump_clock: object) -> None:
    service, node = Scripted((1, OSError("broken"))), Node("part")
    async with trio.open_nursery() as nursery:
        assert await nursery.start(supervise, service, node, Policy(backoff=QUICK)) == "ready"
        await trio.sleep(10)
        assert len(service.starts) == 2
        assert node.restarts == 1
        assert node.snapshot()["state"] == "running"
        assert node.last_error == "OSError: broken"
        nursery.cancel_scope.cancel()
    assert node.snapshot()["state"] == "stopped"


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (Unavailable("away"), "warning"),
        # A link and what is asked beside it fail together when their server goes away.
        (ExceptionGroup("", [Unavailable("away"), Unavailable("away too")]), "warning"),
        (ExceptionGroup("", [Unavailable("away"), KeyError("bug")]), "error"),
        (KeyError("bug"), "error"),
    ],
)
async def test_only_bugs_are_errors_in_the_log(
    error: Exception,
    level: str,
    log_events: list[MutableMapping[str, Any]],
    autojump_clock: object,
) -> None:
    with trio.move_on_after(10):
        await supervise(Scripted((1, error)), Node("part"), FOREVER)
    (failed,) = (event for event in log_events if event["event"] == "failed")
    assert failed["log_level"] == level
    assert (failed["exc_info"] is None) == (level == "warning")


async def test_returning_is_a_failure_of_a_permanent_service(autojump_clock: object) -> None:
    service, node = Scripted((1, None)), Node("part")
    with trio.move_on_after(10):
        await supervise(service, node, Policy(backoff=QUICK))
    assert len(service.starts) == 2
    assert "returned" in node.last_error


async def test_a_transient_service_may_return(autojump_clock: object) -> None:
    service = Scripted((1, OSError()), (1, None))
    await supervise(service, Node("part"), Policy(Restart.TRANSIENT, backoff=QUICK))
    assert len(service.starts) == 2


async def test_a_temporary_service_is_not_started_again(autojump_clock: object) -> None:
    service = Scripted((1, OSError("once")))
    node = Node("part")
    await supervise(service, node, Policy(Restart.TEMPORARY))
    assert (len(service.starts), node.last_error) == (1, "OSError: once")


async def test_one_failure_more_than_the_intensity_escalates(autojump_clock: object) -> None:
    service = Scripted(*[(1, OSError("again"))] * 9)
    with pytest.raises(Escalated, match=r"part failed 4 times within 60 s.*again"):
        await supervise(service, Node("part"), Policy(backoff=QUICK))
    assert len(service.starts) == 4


async def test_a_period_of_health_fills_the_budget_again(autojump_clock: object) -> None:
    service = Scripted(*[(1, OSError())] * 3, (61, OSError()), *[(1, OSError())] * 2)
    with trio.move_on_after(500):
        await supervise(service, Node("part"), Policy(backoff=QUICK))
    assert len(service.starts) == 7
    # The pause after the healthy life is a first pause again.
    assert service.starts[4] - service.starts[3] <= 61 + QUICK.first


async def test_an_interrupted_service_is_started_again_like_one_that_failed(
    autojump_clock: object,
) -> None:
    service, node = Scripted(), Node("part")
    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, service, node, Policy(backoff=QUICK))
        assert node.interrupt()
        await trio.testing.wait_all_tasks_blocked()
        assert (node.state, node.last_error) == (State.BACKOFF, "interrupted")
        assert not node.interruptible
        await trio.sleep(10)
        assert (len(service.starts), node.restarts, node.state) == (2, 1, State.RUNNING)
        nursery.cancel_scope.cancel()
    assert not node.interrupt()


async def test_interrupts_are_counted_as_failures(autojump_clock: object) -> None:
    service, node = Scripted(), Node("part")

    async def nag() -> None:
        async for _ in every(5):
            node.interrupt()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(nag)
        with pytest.raises(Escalated, match=r"4 times .*interrupted"):
            await supervise(service, node, Policy(backoff=QUICK))
        nursery.cancel_scope.cancel()


async def test_a_service_that_is_interrupted_before_it_is_ready_gets_ready_later(
    autojump_clock: object,
) -> None:
    ready = trio.Event()

    async def service(*, task_status: trio.TaskStatus[str]) -> None:
        await ready.wait()
        task_status.started("ready")
        await trio.sleep_forever()

    node = Node("part")

    async def disturb() -> None:
        await trio.testing.wait_all_tasks_blocked()
        assert node.interrupt()
        await trio.sleep(5)
        ready.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(disturb)
        assert await nursery.start(supervise, service, node, FOREVER) == "ready"
        assert node.restarts == 1
        nursery.cancel_scope.cancel()


async def test_an_interrupt_takes_what_is_below_along(autojump_clock: object) -> None:
    below: list[Node] = []

    async def above(*, task_status: trio.TaskStatus[None]) -> None:
        with node.child("below") as child:
            below.append(child)
            task_status.started()
            await supervise(Scripted(), child, FOREVER)

    node = Node("above")
    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, above, node, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        node.interrupt()
        await trio.sleep(5)
        assert [child.state for child in below] == [State.STOPPED, State.RUNNING]
        assert [child.restarts for child in below] == [0, 0]
        nursery.cancel_scope.cancel()


async def test_a_fatal_error_is_not_tried_again(autojump_clock: object) -> None:
    service = Scripted((1, Fatal("no wallet")))
    with pytest.raises(Fatal, match="no wallet"):
        await supervise(service, Node("part"), FOREVER)
    assert len(service.starts) == 1


async def test_a_fatal_error_inside_a_nursery_is_found(autojump_clock: object) -> None:
    async def service(*, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery():
            raise Fatal("deep")

    with pytest.raises(ExceptionGroup) as caught:
        await supervise(service, Node("part"), FOREVER)
    assert describe(caught.value) == "deep"


async def test_what_depends_on_others_is_tried_for_ever(autojump_clock: object) -> None:
    service = Scripted(*[(0.1, Unavailable("away"))] * 200)
    with trio.move_on_after(30 * 200):
        await supervise(service, Node("part"), FOREVER)
    assert len(service.starts) == 201


async def test_a_waiting_part_says_for_what(autojump_clock: object) -> None:
    service, node = Scripted((0, Unavailable("the pool is away"))), Node("part")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervise, service, node, FOREVER)
        await trio.testing.wait_all_tasks_blocked()
        assert node.state is State.BACKOFF
        assert "the pool is away" in node.doing
        nursery.cancel_scope.cancel()


@given(failures=st.integers(1, 10_000), first=st.floats(0.01, 5), limit=st.floats(5, 100))
def test_a_pause_is_jittered_and_bounded(failures: int, first: float, limit: float) -> None:
    pause = Backoff(first, limit).delay(failures)
    full = min(limit, first * 2.0 ** min(failures - 1, 32))
    assert full / 2 <= pause <= full


@pytest.mark.slow
@given(gaps=st.lists(st.integers(0, 100), min_size=1, max_size=12), restarts=st.integers(0, 5))
def test_escalation_is_exactly_too_many_failures_in_the_window(
    gaps: list[int], restarts: int
) -> None:
    period = 60.0
    service = Scripted(*[(gap, OSError()) for gap in gaps])
    instant = Backoff(first=0, limit=0)
    policy = Policy(intensity=Intensity(restarts, period), backoff=instant)
    starts = _lives_until_escalation(gaps, restarts, period)

    async def main() -> None:
        with trio.move_on_after(sum(gaps) + 1):
            await supervise(service, Node("part"), policy)

    clock = trio.testing.MockClock(autojump_threshold=0)
    if starts is None:
        trio.run(main, clock=clock)
        assert len(service.starts) == len(gaps) + 1
    else:
        with pytest.raises(Escalated):
            trio.run(main, clock=clock)
        assert len(service.starts) == starts


def _lives_until_escalation(gaps: list[int], restarts: int, period: float) -> int | None:
    """An independent count: failures of the last *period* since the last healthy life."""
    now, window = 0.0, list[float]()
    for number, gap in enumerate(gaps, 1):
        now += gap
        window = [] if gap >= period else [t for t in window if t > now - period]
        window.append(now)
        if len(window) > restarts:
            return number
    return None


async def test_a_failure_at_the_moment_of_a_cancellation_does_not_outlive_it(
    autojump_clock: object,
) -> None:
    async def fails_when_cancelled(*, task_status: trio.TaskStatus[None]) -> None:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise Unavailable("the connection was reset")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    node = Node("part")
    with trio.move_on_after(1) as scope:
        await supervise(fails_when_cancelled, node, FOREVER)

    assert scope.cancelled_caught
    assert node.last_error == "the connection was reset"
