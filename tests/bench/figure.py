"""One line of the table."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen
class Figure:
    """
    *values* of something, in *unit*, and what it is compared with.

    *budget* is the promise, in the same unit; None where only the ratio says something.
    """

    what: str
    unit: str
    values: Sequence[float]
    baseline: str
    baseline_values: Sequence[float]
    budget: float | None = None

    def cells(self) -> tuple[str, ...]:
        """What is printed."""
        ours, base = median(self.values), median(self.baseline_values)
        return (
            self.what,
            f"{ours:.4g} {self.unit}",
            f"{base:.4g} {self.unit} ({self.baseline})",
            f"{ours / base:.2f}" if base else "–",
            f"< {self.budget:g} {self.unit}" if self.budget is not None else "",
        )
