"""Runs of Trio that a seed repeats: whatever broke once can be looked at again."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """
    Make the order of tasks in runs of Trio, and `random`, depend on *seed* in this block.

    Trio draws the order of ready tasks, which lie in sets that are sorted by addresses: drawn from
    a seeded generator, after sorting by age, it is the same each time. What is left to chance are
    threads, sockets and clocks: the runs have to do without real ones.
    """
    state = random.getstate()
    random.seed(seed)
    core: Any = trio._core._run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        patch.setattr(core, "_r", random.Random(seed))
        try:
            yield
        finally:
            random.setstate(state)
