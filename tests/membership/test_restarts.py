"""A thousand sessions leave no more behind than one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.bench.sessions import Holdings, Sessions, sessions
from tests.cached import CACHE

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


#: Caches and pools of allocators fill up first, then it counts.
WARM_UP: Final = 100
LIVES: Final = 1_000

#: MB. A leak of 5 kB a session would be as much.
GROWTH: Final = 5.0

#: Threads, files or tasks that a ping or a question holds which happens to be under way.
MOMENTARY: Final = 5


@pytest.mark.node
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_thousand_sessions_leave_nothing_behind(
    tmp_path: Path, log_events: list[MutableMapping[str, Any]]
) -> None:
    async def live(worker: Sessions, times: int) -> Holdings:
        for _ in range(times):
            with trio.fail_after(10):
                await worker.again()
            # What the tests' own log keeps is no leak.
            log_events.clear()
        await trio.sleep(1)
        return Holdings.now()

    async with sessions(CACHE, tmp_path) as worker:
        before = await live(worker, WARM_UP)
        after = await live(worker, LIVES)
    assert after.memory - before.memory < GROWTH
    for kind in ("threads", "files", "tasks"):
        assert getattr(after, kind) - getattr(before, kind) <= MOMENTARY, (before, after)
