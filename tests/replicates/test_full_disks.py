"""Nothing is told or sent that could not be written down, and what waits for room goes on."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from iexec_worker.replicates import journal as journals
from iexec_worker.wire import Action, Status
from tests.samples import TASK, TO_CONTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iexec_worker.replicates.group import Replicates
    from tests.replicates.conftest import World

pytestmark = pytest.mark.timeout(30)


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(journals, "_write", refuse)
        yield


def trouble(replicates: Replicates) -> str:
    return replicates.around.journal.trouble


def waits(world: World) -> bool:
    return "until the journal can be written" in world.node.children[TASK].doing


async def test_a_task_is_not_begun_before_it_is_written_down(
    world: World, no_threads: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.computes()
    async with world.replicates() as replicates:
        with full(monkeypatch):
            await world.begin(replicates)
            await trio.sleep(60)
            assert world.pool.told == []
            assert waits(world)
            assert "No space left" in world.node.children[TASK].last_error
            assert "No space left" in trouble(replicates)
        with trio.fail_after(60):
            await world.pool.event(Status.CONTRIBUTED).wait()
        assert trouble(replicates) == ""
    assert world.pool.statuses == list(TO_CONTRIBUTED)
    assert world.node.children == {}


@pytest.mark.parametrize("status", TO_CONTRIBUTED[1:])
async def test_the_disk_may_be_full_before_any_step(
    world: World,
    no_threads: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    status: Status,
) -> None:
    world.computes()
    world.pool.slow[status] = answered = trio.Event()
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await world.pool.event(status).wait()
        with full(monkeypatch):
            answered.set()
            await trio.sleep(60)
            assert waits(world)
            sent, told, done = list(world.sent), list(world.pool.statuses), list(world.done)
            await trio.sleep(60)
            assert (world.sent, world.pool.statuses, world.done) == (sent, told, done)
        with trio.fail_after(60):
            await world.pool.event(Status.CONTRIBUTED).wait()
    assert world.pool.statuses == list(TO_CONTRIBUTED)
    assert world.sent == [Action.PLEASE_CONTRIBUTE]
    assert world.done.count(Action.PLEASE_COMPUTE) == 1


@pytest.mark.logs_errors
async def test_a_reveal_does_not_wait_for_the_disk_until_the_stake_is_lost(
    world: World, no_threads: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.computes()
    async with world.replicates() as replicates:
        await world.begin(replicates)
        await world.pool.event(Status.CONTRIBUTED).wait()
        await trio.testing.wait_all_tasks_blocked()
        with full(monkeypatch):
            world.chain.consensus()
            world.publish(Action.PLEASE_REVEAL, 7)
            await trio.sleep(300)
            assert world.sent == [Action.PLEASE_CONTRIBUTE, Action.PLEASE_REVEAL]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
async def test_a_real_disk_that_fills_stops_the_step_and_lets_it_go_on_when_there_is_room(
    world: World, tmp_path: Path
) -> None:
    world.folder = tmp_path / "small"
    world.folder.mkdir()
    ballast = world.folder / "ballast"
    world.computes()
    world.pool.slow[Status.COMPUTED] = answered = trio.Event()
    mount = ("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(world.folder))
    await trio.run_process(mount)
    try:
        async with world.replicates() as replicates:
            await world.begin(replicates)
            with trio.fail_after(10):
                await world.pool.event(Status.COMPUTED).wait()
            filled = await trio.run_process(
                ("dd", "if=/dev/zero", f"of={ballast}", "bs=4k"),
                check=False,
                capture_stderr=True,
            )
            assert b"No space left" in filled.stderr
            answered.set()
            with trio.fail_after(10):
                while not waits(world):  # noqa: ASYNC110 - a node of the tree sets no event
                    await trio.sleep(0.01)
            assert world.sent == []
            assert "No space left" in trouble(replicates)
            journal = replicates.around.journal.folder(TASK).journal
            assert not journal.with_suffix(".new").exists()
            ballast.unlink()
            with trio.fail_after(10):
                await world.pool.event(Status.CONTRIBUTED).wait()
            assert trouble(replicates) == ""
    finally:
        with trio.CancelScope(shield=True):
            await trio.run_process(("umount", "-l", str(world.folder)))
    assert world.pool.statuses == list(TO_CONTRIBUTED)
