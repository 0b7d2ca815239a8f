"""The tree as data."""

from __future__ import annotations

from iexec_worker.telemetry.tree import Node, State


def test_the_tree_is_plain_data() -> None:
    root = Node("worker")
    with root.child("server") as server:
        server.enter(State.RUNNING)
        server.doing = "serving"
        assert [path for path, _ in root.walk()] == ["worker", "worker/server"]
        child = root.snapshot()["children"][0]
        assert (child["name"], child["state"], child["doing"]) == ("server", "running", "serving")
    assert root.snapshot()["children"] == []


def test_a_successor_of_the_same_name_is_not_removed() -> None:
    root = Node("worker")
    with root.child("link"):
        pass
    first = root.child("link")
    first.__enter__()
    with root.child("link") as second:
        first.__exit__(None, None, None)
        assert root.children["link"] is second
