"""The end of everything: bounded, and what does not end is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from iexec_worker.errors import Fatal
from iexec_worker.supervise import FOREVER, describe, ends_in_time, supervise
from iexec_worker.telemetry.tree import Node
from tests.supervise.conftest import Scripted

if TYPE_CHECKING:
    from collections.abc import MutableMapping


class Stubborn:
    """A service whose clean-up takes *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __call__(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.seconds)


@pytest.fixture
def gave_up() -> list[float]:
    return []


async def end(gave_up: list[float], **parts: float) -> None:
    """Have a tree of *parts*, by their clean-up's seconds, in front of a patience of 10 s."""
    root = Node("worker")
    async with ends_in_time(root, 10, lambda: gave_up.append(trio.current_time())) as nursery:
        for name, seconds in parts.items():
            node = root.children[name] = Node(name)
            await nursery.start(supervise, Stubborn(seconds), node, FOREVER)


async def test_what_ends_in_time_is_waited_for(
    autojump_clock: object, gave_up: list[float]
) -> None:
    began = trio.current_time()
    await end(gave_up, quick=0, slow=9)
    assert (trio.current_time() - began, gave_up) == (9, [])


@pytest.mark.logs_errors
async def test_what_does_not_end_is_named_before_the_process_is_given_up(
    autojump_clock: object,
    gave_up: list[float],
    log_events: list[MutableMapping[str, Any]],
) -> None:
    began = trio.current_time()
    await end(gave_up, quick=0, hung=500)
    assert gave_up == [began + 10]
    assert [event["parts"] for event in log_events if event["log_level"] == "critical"] == [
        ["worker/hung"]
    ]


async def test_the_bound_holds_for_an_end_from_outside(
    autojump_clock: object, gave_up: list[float]
) -> None:
    root = Node("worker")
    with trio.move_on_after(5):
        async with ends_in_time(root, 10, lambda: gave_up.append(trio.current_time())) as nursery:
            await nursery.start(supervise, Stubborn(9), Node("slow"), FOREVER)
            await trio.sleep_forever()
    assert gave_up == []


async def test_a_part_that_escalates_ends_the_others(
    autojump_clock: object, gave_up: list[float]
) -> None:
    root = Node("worker")
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the tree lives in it
        async with ends_in_time(root, 10, lambda: gave_up.append(0)) as nursery:
            await nursery.start(supervise, Stubborn(1), Node("other"), FOREVER)
            await supervise(Scripted((1, Fatal("no wallet"))), Node("part"), FOREVER)
    assert describe(caught.value) == "no wallet"
    assert gave_up == []
