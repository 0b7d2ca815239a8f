from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.tee.agent import LINE, LINES, Agent

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[..., Agent]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Makes an agent of a shell script, which runs in the folder `tmp_path`."""

    def make(text: str, *, limit: float = 20) -> Agent:
        program = tmp_path / "agent"
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        return Agent(program, limit)

    return make


def alive(pid: int) -> bool:
    """True iff the process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def written(file: Path) -> int:
    """Wait for a process's id in *file*."""
    there = trio.Path(file)
    while not (await there.exists() and (await there.read_text()).endswith("\n")):  # noqa: ASYNC110 - a file's writing is no event
        await trio.sleep(0.01)
    return int(await there.read_text())


async def gone(pid: int) -> None:
    while alive(pid):  # noqa: ASYNC110 - no child of ours: its end is no event
        await trio.sleep(0.01)


async def test_it_runs_in_its_folder_with_its_words(script: Script, tmp_path: Path) -> None:
    ended = await script('pwd; echo "$@" >&2; exit 3').run(("-e", "a b"), tmp_path)

    assert ended.status == 3
    assert ended.lines == (str(tmp_path), "-e a b")


async def test_it_is_given_nothing_of_our_environment(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IEXEC_WORKER_WALLET_PASSWORD", "whatever")
    ended = await script("env").run((), tmp_path)

    names = {line.partition("=")[0] for line in ended.lines}
    assert names <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}


async def test_what_it_writes_is_for_this_user_only(script: Script, tmp_path: Path) -> None:
    await script("echo x > written").run((), tmp_path)

    assert (tmp_path / "written").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
async def test_at_its_limit_it_is_killed_with_its_group(script: Script, tmp_path: Path) -> None:
    agent = script("echo before; sleep 600 & echo $! > child; wait", limit=0.3)
    with trio.fail_after(10):
        ended = await agent.run((), tmp_path)
        await gone(await written(tmp_path / "child"))

    assert ended.status is None
    assert ended.lines == ("before",)


async def test_cancelled_it_is_killed_with_its_group(script: Script, tmp_path: Path) -> None:
    agent = script("trap '' TERM; sleep 600 & echo $! > child; wait; wait")
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.run, (), tmp_path)
            child = await written(tmp_path / "child")
            nursery.cancel_scope.cancel()
        await gone(child)


async def test_what_it_leaves_running_does_not_keep_us(script: Script, tmp_path: Path) -> None:
    with trio.fail_after(10):
        ended = await script("sleep 600 & echo $! > child; echo done").run((), tmp_path)
        await gone(await written(tmp_path / "child"))

    assert (ended.status, ended.lines) == (0, ("done",))


@pytest.mark.slow
async def test_what_left_its_group_with_our_pipe_does_not_keep_us(
    script: Script, tmp_path: Path
) -> None:
    leave = "setsid sh -c 'echo $$ > child; exec sleep 600' &"
    agent = script(f"{leave} while [ ! -s child ]; do sleep 0.01; done; echo done")
    with trio.fail_after(10):
        ended = await agent.run((), tmp_path)
        child = await written(tmp_path / "child")
        os.kill(child, 9)

    assert (ended.status, ended.lines) == (0, ("done",))


async def test_of_much_output_the_end_is_kept(script: Script, tmp_path: Path) -> None:
    many = 3 * LINES
    agent = script(f"i=0; while [ $i -lt {many} ]; do i=$((i+1)); echo $i; done")
    ended = await agent.run((), tmp_path)

    assert ended.lines == tuple(str(many - LINES + n + 1) for n in range(LINES))


async def test_a_line_without_an_end_is_cut(script: Script, tmp_path: Path) -> None:
    ended = await script("head -c 5000000 /dev/zero | tr '\\0' x").run((), tmp_path)

    assert ended.lines == (LINE * "x",)


async def test_one_that_is_not_there_cannot_start(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "nowhere")

    assert not agent.is_here
    with pytest.raises(FileNotFoundError):
        await agent.run((), tmp_path)


def test_only_a_program_is_one(script: Script, tmp_path: Path) -> None:
    agent = script("true")
    assert agent.is_here

    agent.program.chmod(0o644)
    assert not Agent(agent.program).is_here
    assert not Agent(tmp_path).is_here
