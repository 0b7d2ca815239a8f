"""What a chaos run is to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen


@frozen
class ChaosOptions:
    """
    *seed* decides which *faults* of which *kinds* (none: all) strike when within *duration* (s).

    Only with *root* there is an engine that may be harmed, and a disk that can be filled.
    *folder* gets logs and results, *cache* the downloads; *inherited* is the environment of this
    process, of which workers get what no program can do without.
    """

    folder: Path
    cache: Path
    seed: int
    duration: float
    faults: int
    kinds: frozenset[str] = frozenset()
    workers: int = 4
    tasks: int = 10
    root: bool = False
    inherited: Mapping[str, str] = field(factory=dict, repr=False)
