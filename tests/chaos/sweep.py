"""All points of a path, or some of them, on all processors."""

from __future__ import annotations

import gc
import os
import random
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

from tests.chaos.paths import PATHS, Script
from tests.chaos.run import Broken, Cut, Point, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from tests.chaos.run import Report

#: A disk in memory: a fifth of a run's time is saved by it.
_MEMORY: Final = Path("/dev/shm")

#: Runs are short: one hand-over for many of them.
_CHUNK: Final = 4

#: Virtual seconds that a cut may cost: half a minute until a worker looks whether it missed what
#: was published while there was none, and a stuck transaction that is waited for once more.
LATE: Final = 75.0

#: Steps in which a life that was taken up has found its way.
_RECOVERY: Final = 150


@frozen
class Job:
    """The run of *path* with *seed*; each of *cuts* ends one life, the first one first."""

    path: str
    seed: int
    cuts: tuple[Point, ...] = ()


def play(job: Job) -> Report:
    """Run it on a disk of its own; raises `Broken`."""
    root = mkdtemp(prefix="iexec-worker-sweep-", dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        return Run(script(job.path), Path(root), job.seed, job.cuts)()
    finally:
        shutil.rmtree(root)


def script(name: str) -> Script:
    return next(path for path in PATHS if path.name == name)


def verdict(job: Job) -> str:
    """Return what is wrong with a run; empty when it ends as its path does."""
    try:
        return judged(job, play(job))
    except Broken as broken:
        return str(broken)


def measured(whole: Job) -> int | str:
    """Return the steps of a run that is not cut, or what is wrong with it."""
    try:
        report = play(whole)
    except Broken as broken:
        return str(broken)
    return judged(whole, report) or report.steps


def judged(job: Job, report: Report) -> str:
    """Say what is wrong with the end in *report*, or when it came."""
    wanted = script(job.path)
    limit = wanted.within + LATE * len(job.cuts)
    if report.outcome != wanted.end:
        problem = f"ended as\n    {report.outcome}, not as\n    {wanted.end}"
    elif report.seconds > limit:
        problem = f"ended after {report.seconds:.0f} s, not within {limit:.0f} s"
    else:
        return ""
    return f"{job}: {problem}\n{report.story}"


def cuts(job: Job, steps: int, share: float) -> list[tuple[Point, ...]]:
    """
    Draw the *share* of all points of a path with so many *steps*; the same for one seed.

    Every fourth time the next life, which finds out what was going on, is cut as well.
    """
    every = [Point(kind, step) for kind in Cut for step in range(1, steps + 1)]
    drawn = random.Random(f"{job.seed} {job.path}")
    found = drawn.sample(every, max(1, round(share * len(every))))
    again = [Point(drawn.choice([*Cut]), drawn.randint(1, _RECOVERY)) for _ in found[::4]]
    return [*zip(found[::4], again, strict=True), *((p,) for n, p in enumerate(found) if n % 4)]


@define(eq=False)
class Sweep:
    """Runs points in *processes*, from the moment it is made; a thread hands them over."""

    seed: int
    share: float
    paths: Sequence[str]
    processes: ProcessPoolExecutor
    thread: ThreadPoolExecutor
    _begun: Future[dict[str, Iterable[str]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begun = self.thread.submit(self._begin)

    def _begin(self) -> dict[str, Iterable[str]]:
        """Have the runs of all paths done side by side: no processor waits for a path's last."""
        verdicts: dict[str, Iterable[str]] = {}
        wholes = [Job(path, self.seed) for path in self.paths]
        for whole, steps in zip(wholes, self.processes.map(measured, wholes), strict=True):
            if isinstance(steps, str):
                verdicts[whole.path] = [steps]
                continue
            jobs = [evolve(whole, cuts=points) for points in cuts(whole, steps, self.share)]
            verdicts[whole.path] = self.processes.map(verdict, jobs, chunksize=_CHUNK)
        return verdicts

    def __call__(self, path: str) -> list[str]:
        """Return what is wrong with the runs of *path*."""
        return [*filter(None, self._begun.result()[path])]


@contextmanager
def sweeping(seed: int, share: float, paths: Sequence[str]) -> Iterator[Sweep]:
    """Sweep in processes of its own: new ones, for this one may have threads."""
    count = len(os.sched_getaffinity(0))
    processes = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_settle)
    with ThreadPoolExecutor(1) as thread:
        try:
            yield Sweep(seed, share, paths, processes, thread)
        finally:
            processes.shutdown(cancel_futures=True)


def _settle() -> None:
    """Keep what was imported: it need not be looked through again and again."""
    gc.freeze()
    # Others who wait for their turn are tests of things that have time limits.
    os.nice(19)
