"""Which fault strikes when: follows from the seed, and from nothing else. Sans-IO."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The first faults wait until the workers have joined and something is computed.
_QUIET: Final = 0.02


@frozen
class Injection:
    """
    One fault: *at* seconds after the start, of *kind*, for worker number *worker* if it is one's.

    *pick* and *strength*, both in [0, 1), choose among what is there by then: a part of the tree,
    a connection, a length.
    """

    at: float
    kind: str
    worker: int
    pick: float
    strength: float

    def between(self, least: float, most: float) -> float:
        """A quantity between two, as strong as this fault is."""
        return least + (most - least) * self.strength


def make_plan(
    seed: int, *, weights: Mapping[str, int], count: int, duration: float, workers: int
) -> tuple[Injection, ...]:
    """
    Choose *count* faults within *duration* seconds, in the order of their times.

    A kind is the more frequent the greater its weight; every kind comes up when there are enough.
    """
    random = Random(seed)
    kinds = [*weights][:count]
    kinds += random.choices([*weights], [*weights.values()], k=count - len(kinds))
    random.shuffle(kinds)
    times = sorted(random.uniform(_QUIET * duration, duration) for _ in kinds)
    return tuple(
        Injection(at, kind, random.randrange(workers), random.random(), random.random())
        for at, kind in zip(times, kinds, strict=True)
    )
