"""Sizes as people read them."""

from __future__ import annotations


def size(count: int) -> str:
    """Return *count* bytes with the unit of powers of ten that fits, at most one decimal."""
    for power, unit in enumerate(("bytes", "kB", "MB")):
        if count < 1000 ** (power + 1):
            return f"{count / 1000**power:.{min(power, 1)}f} {unit}"
    return f"{count / 1000**3:.1f} GB"
