from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs

from iexec_worker.model import Notification
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.subscriptions import INBOX_SIZE, Subscriptions
from iexec_worker.wire import Action
from tests.scheduler.conftest import TASK

NEWS = Notification(TASK, Action.PLEASE_REVEAL, ())


async def test_a_notification_reaches_the_inbox_of_its_task() -> None:
    subscriptions = Subscriptions()

    with subscriptions.open(TASK) as inbox, subscriptions.open("0x2") as other:
        subscriptions.deliver(NEWS)
        assert inbox.receive_nowait() is NEWS
        with pytest.raises(trio.WouldBlock):
            other.receive_nowait()


async def test_opening_and_closing_are_told() -> None:
    subscriptions = Subscriptions()

    changed = subscriptions.changed
    with subscriptions.open(TASK):
        assert changed.is_set()
        assert subscriptions.task_ids == {TASK}
        changed = subscriptions.changed
        assert not changed.is_set()
    assert changed.is_set()
    assert subscriptions.task_ids == set()


async def test_a_task_has_one_listener_at_a_time() -> None:
    subscriptions = Subscriptions()

    with subscriptions.open(TASK):
        with pytest.raises(ValueError, match="task_id"), subscriptions.open(TASK):
            pass
        assert subscriptions.task_ids == {TASK}
    with subscriptions.open(TASK):
        pass


async def test_a_flood_is_dropped_and_logged() -> None:
    subscriptions = Subscriptions()

    with subscriptions.open(TASK) as inbox, capture_logs() as logs:
        for _ in range(INBOX_SIZE + 2):
            subscriptions.deliver(NEWS)
        assert inbox.statistics().current_buffer_used == INBOX_SIZE
    assert [line["log_level"] for line in logs] == ["warning", "warning"]


async def test_news_of_a_task_that_is_over_is_nothing() -> None:
    Subscriptions().deliver(NEWS)


async def test_a_gate_opens_for_all_and_closes_for_the_next() -> None:
    gate, passed = Gate(), []

    async def walk(name: str) -> None:
        await gate.wait_open()
        passed.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk, "a")
        nursery.start_soon(walk, "b")
        await trio.testing.wait_all_tasks_blocked()
        assert passed == []
        gate.open()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(passed) == ["a", "b"]
        gate.close()
        gate.close()
        nursery.start_soon(walk, "c")
        await trio.testing.wait_all_tasks_blocked()
        assert len(passed) == 2
        gate.open()
    assert passed[-1] == "c"


async def test_a_gate_that_closes_again_before_anybody_moved_holds_them() -> None:
    gate, passed = Gate(), []

    async def walk() -> None:
        await gate.wait_open()
        passed.append(gate.is_open)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(walk)
        await trio.testing.wait_all_tasks_blocked()
        gate.open()
        gate.close()
        await trio.testing.wait_all_tasks_blocked()
        assert passed == []
        gate.open()

    assert passed == [True]
