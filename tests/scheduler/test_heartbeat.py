from __future__ import annotations

import pytest
import trio
import trio.testing
from attrs import define, field
from structlog.testing import capture_logs

from iexec_worker.errors import Rejected, Unavailable
from iexec_worker.scheduler import heartbeat


@define
class Pool:
    """A ping takes as long as *takes* says, and fails when that is an error."""

    takes: list[float | Exception]
    times: list[float] = field(factory=list)

    async def ping(self) -> str:
        self.times.append(trio.current_time())
        take = self.takes.pop(0) if self.takes else 0.0
        if isinstance(take, Exception):
            raise take
        await trio.sleep(take)
        return f"id-{len(self.times)}"

    def last_answer(self) -> str:
        return "12 s ago"


async def beat_for(seconds: float, pool: Pool) -> list[str]:
    answers: list[str] = []
    with trio.move_on_after(seconds):
        await heartbeat.run(pool, on_ping=answers.append)
    return answers


async def test_pings_go_out_every_ten_seconds_without_drift(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([0.5, 7.9, 0.0, 3.0])
    began = trio.current_time()

    answers = await beat_for(45, pool)

    assert [time - began for time in pool.times] == pytest.approx([0, 10, 20, 30, 40])
    assert answers == ["id-1", "id-2", "id-3", "id-4", "id-5"]


async def test_a_ping_that_hangs_delays_no_other(autojump_clock: trio.testing.MockClock) -> None:
    pool = Pool([1000.0, 1000.0])
    began = trio.current_time()

    with capture_logs() as logs:
        answers = await beat_for(25, pool)

    assert [time - began for time in pool.times] == pytest.approx([0, 10, 20])
    assert answers == ["id-3"]
    assert [(line["event"], line.get("reason")) for line in logs] == [
        ("ping failed", "no answer within 8 s"),
        ("ping failed", "no answer within 8 s"),
        ("the pool answers pings again", None),
    ]


async def test_failures_are_counted_and_borne(autojump_clock: trio.testing.MockClock) -> None:
    pool = Pool([Unavailable("away"), Rejected("not you"), 0.0, Unavailable("away")])

    with capture_logs() as logs:
        answers = await beat_for(35, pool)

    assert answers == ["id-3"]
    failed = [line for line in logs if line["event"] == "ping failed"]
    assert [line["in_a_row"] for line in failed] == [1, 2, 1]
    assert failed[1]["reason"] == "not you"
    assert failed[0]["last_answer"] == "12 s ago"


async def test_beats_missed_while_stopped_are_not_made_up(
    mock_clock: trio.testing.MockClock,
) -> None:
    pool = Pool([])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat_for, 1e9, pool)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(3600)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(9.9)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert len(pool.times) == 2


async def test_an_error_of_the_listener_ends_the_heartbeat() -> None:
    def on_ping(_: str) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await heartbeat.run(Pool([]), on_ping=on_ping)
