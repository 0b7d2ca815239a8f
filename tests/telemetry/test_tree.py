"""The tree as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from iexec_worker.supervise import Policy, Restart, supervise
from iexec_worker.telemetry.tree import PART, Node, State

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def test_the_tree_is_plain_data() -> None:
    root = Node("worker")
    with root.child("server") as server:
        server.enter(State.RUNNING)
        server.doing = "serving"
        assert [path for path, _ in root.walk()] == ["worker", "worker/server"]
        child = root.snapshot()["children"][0]
        assert (child["name"], child["state"], child["doing"]) == ("server", "running", "serving")
    assert root.snapshot()["children"] == []


def test_what_a_part_does_is_logged_when_it_changes(
    log_events: list[MutableMapping[str, Any]],
) -> None:
    link = Node("link")
    for doing in ("connecting", "connecting", "", "connected"):
        link.doing = doing

    assert log_events == [
        {"event": "doing", "log_level": "debug", "part": "link", "doing": "connecting"},
        {"event": "doing", "log_level": "debug", "part": "link", "doing": "connected"},
    ]


def test_a_successor_of_the_same_name_is_not_removed() -> None:
    root = Node("worker")
    with root.child("link"):
        pass
    first = root.child("link")
    first.__enter__()
    with root.child("link") as second:
        first.__exit__(None, None, None)
        assert root.children["link"] is second


async def test_a_task_knows_the_part_it_belongs_to() -> None:
    seen: list[Node | None] = []

    async def look(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        seen.append(PART.get())

    async def service(*, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            nursery.start_soon(supervise, look, inner, once)

    outer, inner = Node("outer"), Node("inner")
    once = Policy(Restart.TRANSIENT)
    await supervise(service, outer, once)

    assert (set(seen), PART.get()) == ({outer, inner}, None)
