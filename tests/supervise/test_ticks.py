from __future__ import annotations

import trio

from iexec_worker.supervise import every


async def test_every_does_not_drift_and_makes_no_missed_ticks_up(autojump_clock: object) -> None:
    ticks, start = [], trio.current_time()
    async for _ in every(10):
        ticks.append(trio.current_time() - start)
        await trio.sleep({1: 4, 2: 25}.get(len(ticks), 0))
        if len(ticks) == 5:
            break
    assert ticks == [0, 10, 35, 45, 55]
