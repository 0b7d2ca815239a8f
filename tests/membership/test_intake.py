"""Asking for work: only with a free slot, and no offer and no slot is ever lost."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.errors import Unavailable
from iexec_worker.membership.intake import Intake
from iexec_worker.replicates.slots import Slots
from iexec_worker.telemetry.tree import Node
from tests.membership.conftest import FakeBlocks, FakeReplicates, FakeSession, offer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

PERIOD = 5.0


@define(eq=False)
class Bench:
    session: FakeSession = field(factory=FakeSession)
    replicates: FakeReplicates = field(factory=FakeReplicates)
    slots: Slots = field(factory=lambda: Slots(2))
    node: Node = field(factory=lambda: Node("intake"))
    obstacle: str = ""

    async def hindrance(self) -> str:
        await trio.lowlevel.checkpoint()
        return self.obstacle

    def intake(self) -> Intake:
        session: Any = self.session
        replicates: Any = self.replicates
        blocks: Any = FakeBlocks()
        return Intake(session, self.slots, replicates, blocks, self.hindrance, PERIOD, self.node)

    @asynccontextmanager
    async def runs(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.intake().run)
            yield
            nursery.cancel_scope.cancel()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_no_question_is_asked_when_all_slots_are_taken(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.session.offers = [offer("a"), offer("b"), offer("c")]
    async with bench.runs():
        await trio.sleep(10 * PERIOD)
        assert [task for task, _ in bench.replicates.begun] == ["0x" + 64 * "a", "0x" + 64 * "b"]
        assert (bench.session.asked, bench.slots.used) == (2, 2)
        assert bench.node.doing == "all 2 slots are taken"
        bench.replicates.begun[0][1].release()
        await trio.sleep(PERIOD)
        assert len(bench.replicates.begun) == 3


async def test_nothing_is_held_while_there_is_no_work(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    async with bench.runs():
        await trio.sleep(1.5 * PERIOD)
        assert (bench.session.asked, bench.slots.used) == (2, 0)
        assert "204" in bench.node.doing


async def test_a_slot_is_given_back_when_asking_fails(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    def refuse() -> None:
        raise Unavailable("503")

    bench.session.on_ask = refuse
    with pytest.raises(Unavailable):
        await bench.intake().run()
    assert bench.slots.used == 0


async def test_an_offer_is_taken_though_the_session_ends_just_then(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    bench.session.offers = [offer("a")]
    async with trio.open_nursery() as nursery:
        bench.session.on_ask = nursery.cancel_scope.cancel
        await nursery.start(bench.intake().run)
    assert len(bench.replicates.begun) == 1
    assert bench.slots.used == 1


async def test_an_offer_that_cannot_be_written_down_says_so_and_frees_its_slot(
    bench: Bench,
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench.session.offers = [offer("a")]
    bench.replicates.error = OSError(28, "No space left on device")
    with pytest.raises(Unavailable, match="No space left"):
        await bench.intake().run()
    assert bench.slots.used == 0


async def test_an_obstacle_is_logged_once_and_shown_as_it_changes(
    bench: Bench, autojump_clock: trio.testing.MockClock, log_events: list[MutableMapping[str, Any]]
) -> None:
    bench.obstacle = "the node has been away for 10 s"
    async with bench.runs():
        await trio.sleep(PERIOD / 2)
        bench.obstacle = "the node has been away for 15 s"
        await trio.sleep(PERIOD)
        assert bench.node.doing == bench.obstacle
        assert bench.session.asked == 0
    told = [event["event"] for event in log_events if event["log_level"] != "debug"]
    assert told == ["no work is taken"]
