"""
A worker's life cut at any of its steps, and the next life: nothing is lost, nothing done twice.

Each path of `paths` is played with the mock clock against a world in memory. Its steps are
counted; at each of them the worker is cancelled, or killed so that nothing of it has an effect any
more, and started anew from its journal. `--chaos-seed` repeats a sweep, `--chaos-share 1` takes
every step instead of a random tenth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.paths import PATHS
from tests.chaos.run import Cut, Point
from tests.chaos.sweep import Job, play

if TYPE_CHECKING:
    from tests.chaos.sweep import Sweep

#: Broken runs that are shown; the rest is counted.
SHOWN = 2


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", [path.name for path in PATHS])
def test_a_life_cut_anywhere_ends_as_one_that_was_not(path: str, sweep: Sweep) -> None:
    broken = sweep(path)
    told = f"--chaos-seed {sweep.seed}: {len(broken)} runs of {path!r} broken, for instance\n"
    assert not broken, told + "\n\n".join(broken[:SHOWN])


def test_a_run_is_repeated_exactly_from_its_seed() -> None:
    job = Job("pool away", 7, (Point(Cut.CRASH, 200),))

    assert play(job).story == play(job).story
