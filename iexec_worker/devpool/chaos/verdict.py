"""What a run has shown, as plain values, and what is kept of one that broke something."""

from __future__ import annotations

import json
import shutil
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import trio
from attrs import frozen

from iexec_worker.devpool.chaos.invariants import INVARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iexec_worker.devpool.chaos.evidence import Evidence
    from iexec_worker.devpool.chaos.invariants import Breach
    from iexec_worker.devpool.chaos.options import ChaosOptions
    from iexec_worker.devpool.chaos.post import Life
    from iexec_worker.devpool.chaos.scene import Scene


@frozen
class Verdict:
    """*struck*: faults by kind; *lives* of each worker."""

    options: ChaosOptions
    struck: Mapping[str, int]
    evidence: Evidence
    lives: Mapping[str, tuple[Life, ...]]
    breaches: tuple[Breach, ...]

    @property
    def taken(self) -> int:
        """How many tasks were taken by a worker at least."""
        return sum(bool(task.parts) for task in self.evidence.tasks)

    @property
    def states(self) -> Mapping[str, int]:
        """How many tasks ended how."""
        return Counter(task.state for task in self.evidence.tasks)

    @property
    def failures(self) -> Mapping[str, int]:
        """What workers told as the causes of failures, and how often."""
        return Counter(
            f"{status} ({cause})"
            for task in self.evidence.tasks
            for part in task.parts
            for status, cause in part.failures.items()
        )

    @property
    def interrupted(self) -> Mapping[str, int]:
        """How often each part of the tree was cancelled, over all workers."""
        return sum((Counter(w.interrupted) for w in self.evidence.workers), Counter[str]())

    @property
    def ends(self) -> Mapping[str, int]:
        """What ended the lives of workers: a signal of ours, or an exit status of their own."""
        lives = [life for own in self.lives.values() for life in own[:-1]]
        return Counter(life.ordered or _end(life) for life in lives)

    def recovery(self) -> dict[str, float]:
        """The distribution of the recoveries, in seconds; empty without any."""
        seconds = self.evidence.recoveries
        if not seconds:
            return {}
        return {
            "least": seconds[0],
            "median": statistics.median(seconds),
            "90%": seconds[int(0.9 * (len(seconds) - 1))],
            "most": seconds[-1],
        }

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "seed": self.options.seed,
            "duration": self.options.duration,
            "folder": str(self.options.folder),
            "faults": sum(self.struck.values()),
            "faultsByKind": dict(sorted(self.struck.items())),
            "interrupted": dict(self.interrupted),
            "tasks": len(self.evidence.tasks),
            "taken": self.taken,
            "states": dict(self.states),
            "failures": dict(self.failures),
            "restarts": dict(self.ends),
            "recoveries": list(self.evidence.recoveries),
            "recovery": self.recovery(),
            "invariants": {invariant.name: invariant.text for invariant in INVARIANTS},
            "breaches": [attrs.asdict(breach) for breach in self.breaches],
        }


def _end(life: Life) -> str:
    if life.status is None:
        return "did not come up"
    return f"by itself, status {life.status}"


async def keep(scene: Scene, verdict: Verdict) -> None:
    """Put the verdict and what is on the workers' disks where the logs are."""
    folder = scene.options.folder
    text = json.dumps(verdict.as_json(), indent=2)
    await trio.Path(folder / "verdict.json").write_text(text)
    for post in scene.posts:
        await trio.to_thread.run_sync(_copy, post.base, folder / "left" / post.name)


def _copy(source: Path, target: Path) -> None:
    # Folders of tasks hold what apps wrote: links are copied as such.
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
