"""A session with the pool: when it is over, and that replicates outlive it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.errors import Fatal, SessionLost, Unavailable
from iexec_worker.membership.attendance import CUT, UNREACHED, Attendance, TermsChanged
from iexec_worker.membership.ending import Ending
from iexec_worker.membership.join import Terms
from iexec_worker.model import ChainConfig, PoolConfig
from iexec_worker.replicates.slots import Slots
from iexec_worker.supervise import describe, only
from iexec_worker.telemetry.tree import Node
from tests.membership.conftest import FakeBlocks, FakeLink, FakeReplicates, FakeSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TERMS = Terms(
    "9.3.0",
    PoolConfig("0xpool", "0xscheduler", "http://config", "http://proxy", 5.0, ""),
    ChainConfig(134, True, "http://node", "0xhub", 5.0),
)
OTHERS = attrs.evolve(TERMS, version="9.4.0")


@define(eq=False)
class Around:
    blocks: FakeBlocks = field(factory=FakeBlocks)
    slots: Slots = field(factory=lambda: Slots(1))


@define(eq=False)
class FakeMember:
    """What a membership is made of; *found* are the terms that the pool gives."""

    session: FakeSession = field(factory=FakeSession)
    link: FakeLink = field(factory=FakeLink)
    around: Around = field(factory=Around)
    terms: Terms = TERMS
    found: Terms = TERMS
    refusal: Fatal | None = None
    model: None = None
    lost_after: int = 3
    ending: Ending = field(factory=lambda: Ending(60))

    async def ask_terms(self) -> Terms:
        await trio.lowlevel.checkpoint()
        if self.refusal is not None:
            raise self.refusal
        return self.found

    async def obstacles(self) -> str:
        await trio.lowlevel.checkpoint()
        return ""

    def observe_ping(self, seconds: float) -> None:
        """Nobody measures."""


@define(eq=False)
class Bench:
    member: FakeMember = field(factory=FakeMember)
    replicates: FakeReplicates = field(factory=FakeReplicates)

    def attendance(self) -> Attendance:
        member: Any = self.member
        replicates: Any = self.replicates
        return Attendance(member, replicates, Node("session"))

    @asynccontextmanager
    async def attends(self) -> AsyncIterator[Attendance]:
        attendance = self.attendance()
        async with trio.open_nursery() as nursery:
            await nursery.start(attendance.run)
            yield attendance
            nursery.cancel_scope.cancel()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def ends(bench: Bench, after: float) -> tuple[Attendance, BaseException]:
    """Let a session end by itself within *after* seconds."""
    attendance = bench.attendance()
    with trio.fail_after(after), pytest.raises((ExceptionGroup, SessionLost, TermsChanged)) as seen:
        await attendance.run(task_status=trio.TASK_STATUS_IGNORED)
    return attendance, only(seen.value)


async def test_a_session_registers_and_has_no_trouble(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench.attends() as attendance:
        await trio.sleep(100)
        assert (attendance.trouble, bench.member.session.registered) == ("", 1)
        assert set(attendance.node.children) == {"heartbeat", "link"}


async def test_a_pool_that_fits_no_longer_ends_no_worker_with_tasks(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.member.refusal = Fatal("the pool requires worker version 10.0.0")
    bench.replicates.living = 1
    attendance, error = await ends(bench, after=10)
    assert isinstance(error, SessionLost)
    assert "requires worker version 10.0.0" in attendance.trouble

    bench.replicates.living = 0
    with pytest.raises(Fatal, match="requires worker version"):
        await bench.attendance().run(task_status=trio.TASK_STATUS_IGNORED)


async def test_an_answer_that_takes_longer_than_the_last_one_is_no_missed_ping(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.member.lost_after = 1
    async with bench.attends() as attendance:
        bench.member.session.ping_takes = 7
        await trio.sleep(100)
        assert attendance.trouble == ""


async def test_no_work_is_taken_under_terms_that_have_changed(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.replicates.computing = 1
    async with bench.attends() as attendance:
        await trio.sleep(25)
        bench.member.session.ping_id = "0x2"
        await trio.sleep(30)
        asked = bench.member.session.asked
        assert asked > 0
        await trio.sleep(100)
        assert bench.member.session.asked == asked
        intake = attendance.node.children["link"].children["intake"]
        assert "another configuration" in intake.doing


async def test_a_session_that_is_cut_is_no_session(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench.attends() as attendance:
        await trio.sleep(1)
        assert attendance.trouble == ""
    assert attendance.trouble == CUT


async def test_pings_without_an_answer_end_the_session_and_leave_the_replicates(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.replicates.computing = 1
    attendance = bench.attendance()
    with trio.fail_after(45), pytest.raises(ExceptionGroup) as seen:  # noqa: PT012 - the session lives in it
        async with trio.open_nursery() as nursery:
            await nursery.start(attendance.run)
            bench.member.session.pings_fail = True
    error = only(seen.value)
    assert isinstance(error, SessionLost)
    assert "computations go on" in attendance.trouble == describe(error)


async def test_one_ping_without_an_answer_does_not_end_the_session(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench.attends() as attendance:
        bench.member.session.pings_fail = True
        await trio.sleep(15)
        bench.member.session.pings_fail = False
        await trio.sleep(100)
        assert attendance.trouble == ""


async def test_nothing_is_well_while_notifications_do_not_come(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    link = bench.member.link
    link.up = trio.Event()
    async with bench.attends() as attendance:
        await trio.sleep(1)
        assert attendance.trouble == UNREACHED
        link.up.set()
        await trio.sleep(1)
        assert attendance.trouble == ""
        link.up = trio.Event()
        link.broken.set()
        await trio.sleep(100)
        assert attendance.trouble == UNREACHED


async def test_a_worker_that_drains_takes_up_no_other_terms(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench.attends() as attendance:
        bench.member.ending.drain()
        bench.member.found, bench.member.session.ping_id = OTHERS, "0x2"
        await trio.sleep(100)
        assert attendance.trouble == ""


async def test_another_configuration_ends_an_idle_session(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    attendance = bench.attendance()
    with trio.fail_after(30), pytest.raises(ExceptionGroup) as seen:  # noqa: PT012 - the session lives in it
        async with trio.open_nursery() as nursery:
            await nursery.start(attendance.run)
            await trio.sleep(1)
            bench.member.session.ping_id = "0x2"
    assert isinstance(only(seen.value), SessionLost)
    assert "configuration" in attendance.trouble


async def test_a_configuration_that_changes_while_joining_is_noticed(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    def change() -> None:
        # After the worker has asked for the terms, before its heartbeat has begun.
        bench.member.session.ping_id = "0x2"

    bench.member.session.on_register = change
    attendance, error = await ends(bench, 30)
    assert isinstance(error, SessionLost)
    assert "configuration" in attendance.trouble


async def test_another_configuration_waits_for_what_computes(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.member.session.computing_tasks = [("0xa",), Unavailable("503"), ("0xa",)]
    async with bench.attends() as attendance:
        await trio.sleep(1)
        bench.member.session.ping_id = "0x2"
        await trio.sleep(30)
        assert "1 computing" in attendance.node.doing
        assert attendance.trouble == ""


async def test_other_terms_start_over(bench: Bench) -> None:
    bench.member.found = OTHERS
    attendance, error = await ends(bench, 5)
    assert isinstance(error, TermsChanged)
    assert "configuration has changed" in attendance.trouble
    assert bench.member.session.registered == 0


async def test_other_terms_wait_until_computations_have_ended(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.member.found = OTHERS
    bench.replicates.computing = 1
    attendance = bench.attendance()
    with trio.fail_after(200), pytest.raises(ExceptionGroup) as seen:  # noqa: PT012 - the session lives in it
        async with trio.open_nursery() as nursery:
            await nursery.start(attendance.run)
            await trio.sleep(95)
            assert attendance.trouble == ""
            bench.replicates.computing = 0
    assert isinstance(only(seen.value), SessionLost)
