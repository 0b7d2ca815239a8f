"""
A worker's life cut at any of its steps, and the next life: nothing is lost, nothing done twice.

Each path of `paths` is played with the mock clock against a world in memory. Its steps are
counted; at each of them the worker is cancelled, or killed so that nothing of it has an effect any
more, and started anew from its journal. `--chaos-seed` repeats a sweep, `--chaos-share 1` takes
every step instead of a random tenth. It begins with the session and is looked at in the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.chaos.paths import PATHS
from tests.chaos.run import Cut, Point
from tests.chaos.sweep import Job, judged, play

if TYPE_CHECKING:
    from tests.chaos.sweep import Sweep

#: Broken runs that are shown; the rest is counted.
SHOWN: Final = 2

#: Runs that are played every time: whichever the sweep finds broken is added as it prints it.
#: Those that broke before there was this list are gone with their code; its first ones are cut
#: about where they were.
KEPT: Final = (
    # Late in the upload, and again when the next life asks the pool what it wants.
    Job("upload retry", 7, (Point(Cut.CRASH, 340), Point(Cut.CANCEL, 60))),
    # With a container that the next life has to find at the abort.
    Job("abort while computing", 7, (Point(Cut.CRASH, 150),)),
    # With a transaction that is nowhere but in the mempool.
    Job("reveal stuck", 7, (Point(Cut.CANCEL, 420), Point(Cut.CRASH, 80))),
    # Not cut at all: two notifications in a row come while the link is down.
    Job("pool restarts", 37075),
    # While the pool's answer with an offer arrives, and no replicate lives.
    Job("strangers publish", 655975, (Point(Cut.CANCEL, 61),)),
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", [path.name for path in PATHS])
def test_a_life_cut_anywhere_ends_as_one_that_was_not(path: str, sweep: Sweep) -> None:
    broken = sweep(path)
    told = f"--chaos-seed {sweep.seed}: {len(broken)} runs of {path!r} broken, for instance\n"
    assert not broken, told + "\n\n".join(broken[:SHOWN])


@pytest.mark.parametrize("job", KEPT, ids=lambda job: job.path)
def test_a_run_that_is_kept_is_cut_and_ends_well(job: Job) -> None:
    report = play(job)

    assert judged(job, report) == ""
    assert report.lives == 1 + len(job.cuts), "a cut is no longer reached: name an earlier step"


def test_a_run_is_repeated_exactly_from_its_seed() -> None:
    job = Job("pool away", 7, (Point(Cut.CRASH, 200),))

    assert play(job).story == play(job).story
