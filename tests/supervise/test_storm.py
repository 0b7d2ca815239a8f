"""Whole trees of services under failures, interrupts and cancellation, in every combination."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
import trio
import trio.testing
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from iexec_worker.errors import Unavailable, WorkerError
from iexec_worker.supervise import (
    FOREVER,
    Backoff,
    Escalated,
    Intensity,
    Policy,
    Restart,
    supervise,
)
from iexec_worker.supervise.failures import only_holds
from iexec_worker.telemetry.tree import Node, State

pytestmark = [pytest.mark.logs_errors, pytest.mark.slow]

LONG = 600.0


@frozen
class Plan:
    """
    A service: how each life ends (after seconds, by an error, a return or not by itself), how it
    is supervised, and what services it has below.
    """

    lives: tuple[tuple[float, str], ...]
    policy: Policy
    below: tuple[Plan, ...] = ()


ENDS: dict[str, Exception] = {
    "passing": Unavailable("away"),
    "bug": KeyError("bug"),
    "group": ExceptionGroup("", [Unavailable("away"), Unavailable("away too")]),
}

lives = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 20.0, 70.0]), st.sampled_from([*ENDS, "return"])),
    max_size=4,
).map(tuple)
policies = st.builds(
    Policy,
    restart=st.sampled_from(Restart),
    intensity=st.builds(Intensity, st.integers(0, 4), st.sampled_from([10.0, 60.0])),
    backoff=st.just(Backoff(0.5, 8)),
    borne=st.sampled_from([(), (WorkerError,), FOREVER.borne]),
)
plans = st.recursive(
    st.builds(Plan, lives, policies),
    lambda children: st.builds(Plan, lives, policies, st.lists(children, max_size=3).map(tuple)),
    max_leaves=6,
)
#: Seconds, and which of the parts that can be interrupted then is interrupted.
interrupts = st.lists(st.tuples(st.floats(0, 200), st.integers(0, 20)), max_size=6)


@define(eq=False)
class Storm:
    """Runs a plan; knows how many services are alive, and what each node went through."""

    alive: int = 0
    started: dict[Node, int] = field(factory=dict)
    nodes: list[Node] = field(factory=list)

    async def part(
        self,
        plan: Plan,
        node: Node,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.nodes.append(node)
        await supervise(partial(self._live, plan, node), node, plan.policy, task_status=task_status)

    async def _live(self, plan: Plan, node: Node, *, task_status: trio.TaskStatus[None]) -> None:
        number = self.started[node] = self.started.get(node, 0) + 1
        self.alive += 1
        try:
            async with trio.open_nursery() as nursery:
                for index, below in enumerate(plan.below):
                    nursery.start_soon(self._below, below, node, str(index))
                task_status.started()
                await self._end(plan, number)
                nursery.cancel_scope.cancel()
        finally:
            self.alive -= 1

    async def _below(self, plan: Plan, parent: Node, name: str) -> None:
        with parent.child(name) as node:
            await self.part(plan, node)

    async def _end(self, plan: Plan, number: int) -> None:
        if number > len(plan.lives):
            await trio.sleep_forever()
        seconds, end = plan.lives[number - 1]
        await trio.sleep(seconds)
        if end in ENDS:
            raise ENDS[end]


def weather(storm: Storm, plan: Plan, cuts: list[tuple[float, int]], seconds: float) -> str:
    """Run *plan* for *seconds*, interrupting parts; say how it ended."""
    root = Node("root")

    async def cut() -> None:
        for due, pick in sorted(cuts):
            await trio.sleep_until(due)
            parts = [node for _, node in root.walk() if node.interruptible]
            if parts:
                assert parts[pick % len(parts)].interrupt()

    async def main() -> str:
        outcome = "cancelled"
        tasks = trio.lowlevel.current_statistics().tasks_living
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut)
                try:
                    await storm.part(plan, root)
                except (Escalated, ExceptionGroup) as error:
                    outcome = "escalated" if only_holds(error, (Escalated,)) else repr(error)
                else:
                    outcome = "over"
                nursery.cancel_scope.cancel()
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        return outcome

    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(main, clock=clock)


@given(plan=plans, cuts=interrupts, seconds=st.one_of(st.floats(0, 300), st.just(LONG)))
@settings(max_examples=150, deadline=None)
def test_nothing_outlives_a_tree_however_it_ends(
    plan: Plan, cuts: list[tuple[float, int]], seconds: float
) -> None:
    storm = Storm()
    outcome = weather(storm, plan, cuts, seconds)
    assert storm.alive == 0
    for node in storm.nodes:
        assert (node.state, node.doing, node.children) == (State.STOPPED, "", {})
        assert not node.interruptible
        # Every restart is a life, and every life but the first is a restart.
        assert storm.started.get(node, 0) in (0, node.restarts + 1)
    assert outcome in {"cancelled", "over", "escalated"}


@given(plan=plans, cuts=interrupts)
@settings(max_examples=80, deadline=None)
def test_what_is_borne_for_ever_never_escalates(plan: Plan, cuts: list[tuple[float, int]]) -> None:
    patient = attrs.evolve(plan, policy=FOREVER)
    assert weather(Storm(), patient, cuts, LONG) == "cancelled"


@given(
    ends=st.lists(st.sampled_from([*ENDS, "return"]), max_size=9), restart=st.sampled_from(Restart)
)
@settings(max_examples=80, deadline=None)
def test_each_policy_has_the_lives_it_should(ends: list[str], restart: Restart) -> None:
    policy = attrs.evolve(FOREVER, restart=restart)
    storm = Storm()
    weather(storm, Plan(tuple((1.0, end) for end in ends), policy), [], LONG)
    expected = len(ends) + 1
    if restart is Restart.TEMPORARY:
        expected = 1
    elif restart is Restart.TRANSIENT and "return" in ends:
        expected = ends.index("return") + 1
    assert list(storm.started.values()) == [expected]


def test_an_escalation_below_counts_above() -> None:
    """One level: 4 failures; two levels: 4 x 4; the third sees one escalation and bears it."""
    strict = Policy(backoff=Backoff(0.01, 0.01))
    leaf = Plan(((0.0, "bug"),) * 100, strict)
    middle = Plan((), strict, (leaf,))
    storm = Storm()
    assert weather(storm, middle, [], LONG) == "escalated"
    assert sum(storm.started.values()) == 4 + 16
