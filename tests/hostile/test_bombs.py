"""Apps that take all they can get of memory, processes, processors and disk."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest
import trio

from iexec_worker.errors import StageFailed
from iexec_worker.files import remove
from iexec_worker.results.tree import Limits
from tests.hostile import outputs
from tests.hostile.outputs import Stranger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.hostile.attack import Arena, Outcome

pytestmark = pytest.mark.timeout(300)

GB: Final = 1024**3

#: Forks until it may not any more. Shells end when they cannot fork: the first one does not stay.
FORK_BOMB: Final = "while :; do sleep 1000 & done 2> /dev/null & exec tail -f /dev/null"
MEMORY_BOMB: Final = "tail /dev/zero"
CPU_HOG: Final = "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait"
LOG_BOMB: Final = "yes 'a line of a log that nobody will ever read, and another, and another one'"
FOLDER_BOMB: Final = "while :; do cat /dev/zero > /iexec_out/$RANDOM; done"
LAYER_BOMB: Final = "while :; do cat /dev/zero > /filled; done"
VOLUME_BOMB: Final = "while :; do cat /dev/zero > /volume/filled; done"
INPUT_BOMB: Final = "while :; do cat /dev/zero > /iexec_in/filled; done"
FILES_BOMB: Final = "cd /iexec_out; mkdir d; n=0; while :; do n=$((n+1)); : > d/$n; done"

#: What a worker packs for long, or refuses to.
SPARSE_FILE: Final = "$b truncate -s 1G result"
MANY_FILES: Final = "i=0; while [ $i -lt 100000 ]; do : > f$i; i=$((i + 1)); done; : > result"

ROUNDS: Final = 5

#: Seconds to wait before each round for a machine without other work.
PATIENCE: Final = 10

#: As much of this machine as a test may lose.
TIGHT: Final = {"MEMORY_PERCENT": "2", "MAX_DISK_GB": "1", "MAX_LOG_SIZE_MB": "20", "PIDS": "200"}
BESIDE: Final = {**TIGHT, "MEMORY_PERCENT": "4"}


async def bomb(arena: Arena, script: str, *, limit: float = 60, **variables: str) -> Outcome:
    return await arena.attack(arena.sandbox(**{**TIGHT, **variables}), script, limit=limit)


async def quiet() -> bool:
    """Wait for a machine without much other work, where times can be compared; for a while only."""
    for _ in range(PATIENCE):
        before, started = idle_seconds(), trio.current_time()
        await trio.sleep(1)
        idle = (idle_seconds() - before) / (trio.current_time() - started)
        if idle > 0.8 * (os.cpu_count() or 1):
            return True
    return False


def idle_seconds() -> float:
    """What all processors together have idled since the machine's start."""
    return float(Path("/proc/uptime").read_text().split()[1])


async def test_a_fork_bomb_has_few_processes(arena: Arena) -> None:
    box = arena.sandbox(**TIGHT)
    async with arena.running(box, FORK_BOMB) as container:
        found: int = 0
        with trio.fail_after(30):
            while found < 190:
                listed = await arena.engine.call(lambda api: api.top(container))
                found = max(found, len(listed["Processes"] or ()))
        ended = await arena.over(box, container, limit=3)

    assert found <= 200
    assert ended.end.timed_out


async def test_a_memory_bomb_is_killed_and_known_for_it(arena: Arena) -> None:
    found = await bomb(arena, MEMORY_BOMB)

    assert (found.end.exit_code, found.end.oom_killed, found.end.over_quota) == (137, True, "")


@pytest.mark.parametrize(
    "script",
    [FOLDER_BOMB, LAYER_BOMB, pytest.param(VOLUME_BOMB, marks=pytest.mark.hostile), INPUT_BOMB],
    ids=["iexec_out", "layer", "volume", "iexec_in"],
)
async def test_an_app_that_fills_the_disk_is_stopped(arena: Arena, script: str) -> None:
    before = shutil.disk_usage(arena.folder).free
    found = await bomb(arena, script, MEMORY_PERCENT="10")

    assert found.end.over_quota == "it wrote more than 1 GB"
    assert not found.end.timed_out
    # A second or two of writing.
    assert before - shutil.disk_usage(arena.folder).free < 10 * GB


@pytest.mark.hostile
async def test_an_app_that_makes_files_without_end_is_stopped(arena: Arena) -> None:
    found = await bomb(arena, FILES_BOMB, limit=120)

    assert found.end.over_quota == "it wrote more than 1 GB"


async def test_a_log_takes_its_room_and_no_more_and_its_loss_is_known(arena: Arena) -> None:
    found = await bomb(arena, f"echo first; sleep 2; {LOG_BOMB} | head -n 2000000")

    assert found.end.exit_code == 0
    assert not found.log_is_whole
    assert found.logs.stdout.endswith("another one\n")


async def test_a_log_that_fits_is_whole(arena: Arena) -> None:
    found = await bomb(arena, "echo first; sleep 2; seq 100000")

    assert found.log_is_whole
    assert found.logs.stdout.endswith("\n100000\n")


@pytest.mark.hostile
async def test_ten_gigabytes_of_log_take_their_room_and_no_more(arena: Arena) -> None:
    before = shutil.disk_usage(arena.folder).free
    wide = "yes $(head -c 15000 /dev/zero | tr '\\0' x) | head -c 10000000000"
    found = await bomb(arena, f"echo first; sleep 2; {wide}", limit=240, MAX_LOG_SIZE_MB="100")

    assert (found.end.exit_code, found.log_is_whole) == (0, False)
    assert len(found.logs.stdout) == 100_000
    assert before - shutil.disk_usage(arena.folder).free < GB


async def loses_little(arena: Arena, attack: Callable[[], Awaitable[object]]) -> None:
    """
    Fail when an honest app loses a quarter of its time while *attack* is made again and again.

    Where others use the machine meanwhile, good times show what they shall and bad ones nothing:
    then the test is skipped.
    """
    # Work that takes some seconds of a processor. The machine may have other things to do, for a
    # while: the best times are compared, of as many as it takes.
    honest = "i=0; while [ $i -lt 1500000 ]; do i=$((i + 1)); done"
    box = arena.sandbox(2, **BESIDE)

    async def timed() -> float:
        found = await arena.attack(box, honest, limit=120)
        assert found.end.exit_code == 0
        return found.end.duration

    async def attacker() -> None:
        while True:
            await attack()

    alone: list[float] = []
    beside: list[float] = []
    fair = True
    for _ in range(ROUNDS):
        fair = await quiet() and fair
        alone.append(await timed())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attacker)
            await trio.sleep(1)
            beside.append(await timed())
            nursery.cancel_scope.cancel()
        if min(beside) < min(alone) * 1.25:
            return
    found = f"alone {alone} ms, beside the attack {beside} ms"
    if not fair:
        pytest.skip(f"the machine has other work: {found}")
    pytest.fail(found)


@pytest.mark.hostile
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "script",
    [
        *(FORK_BOMB, f"while :; do {MEMORY_BOMB}; done", CPU_HOG, LOG_BOMB),
        *(FOLDER_BOMB, FILES_BOMB, LAYER_BOMB, VOLUME_BOMB, INPUT_BOMB),
    ],
    ids=["fork", "memory", "processor", "log", "disk", "files", "layer", "volume", "input"],
)
async def test_an_honest_task_beside_a_bomb_loses_less_than_a_quarter_of_its_time(
    arena: Arena, script: str
) -> None:
    crater = attrs.evolve(arena, folder=arena.folder / "crater")
    box = arena.sandbox(2, **BESIDE)

    async def attack() -> None:
        try:
            await crater.attack(box, script, limit=20)
        finally:
            # As a worker does with what a task leaves; a gigabyte is left each time.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(remove, crater.folder)

    await loses_little(arena, attack)


@pytest.mark.hostile
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("script", "limits"),
    [(SPARSE_FILE, Limits()), (MANY_FILES, Limits()), (MANY_FILES, Limits(entries=200_000))],
    ids=["sparse", "refused", "packed"],
)
async def test_an_honest_task_beside_a_result_that_is_packed_loses_no_more(
    arena: Arena, engine_url: str, script: str, limits: Limits
) -> None:
    await outputs.build(engine_url)
    (arena.folder / "stranger").mkdir()
    stranger = Stranger(arena.containers, arena.folder / "stranger", limits)
    await stranger.runs(script, path="/iexec_out/result")

    async def attack() -> None:
        with suppress(StageFailed):
            await stranger.result()

    await loses_little(arena, attack)
    await trio.to_thread.run_sync(remove, stranger.root)
