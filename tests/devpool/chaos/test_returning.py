from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.devpool.chaos.returning import Returning
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from pathlib import Path

#: Says that it serves by what it prints, and then waits.
_SERVER = "echo $$; exec sleep 1000"


def server(folder: Path, script: str = _SERVER) -> Returning:
    async def serves() -> bool:
        await trio.lowlevel.checkpoint()
        return bool((folder / f"server-{returning.lives}.log").read_text())

    returning = Returning("server", ("sh", "-c", script), folder, serves, limit=10)
    return returning


async def test_a_server_that_was_killed_comes_back(nursery: trio.Nursery, tmp_path: Path) -> None:
    returning = server(tmp_path)
    with trio.fail_after(20):
        await nursery.start(returning.run)
        first = returning.process
        await returning.restart(signal.SIGKILL)

    assert first.returncode == -signal.SIGKILL
    assert returning.process.pid != first.pid
    assert returning.process.poll() is None
    assert (tmp_path / "server-2.log").read_text() == f"{returning.process.pid}\n"


async def test_what_is_in_the_way_is_removed_before_each_life(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    tidied: list[int] = []

    async def tidy() -> None:
        await trio.lowlevel.checkpoint()
        tidied.append(returning.lives)

    returning = server(tmp_path)
    returning.tidy = tidy
    with trio.fail_after(20):
        await nursery.start(returning.run)
        await returning.restart(signal.SIGTERM)

    assert tidied == [0, 1]


async def test_a_server_that_does_not_come_up_is_fatal(tmp_path: Path) -> None:
    with trio.fail_after(20), pytest.raises(Fatal, match="ended with status 3"):
        await server(tmp_path, "exit 3").run()
