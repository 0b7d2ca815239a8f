"""Gas that is spoken for: what the tasks under way will still ask the wallet to pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Due:
    """Gas that one task will use: *reveal* for a contribution that stands, *other* before it."""

    reveal: int = 0
    other: int = 0


@define(eq=False)
class Dues:
    """What each task under way owes; asked anew every time, so that it is never out of date."""

    _tasks: dict[str, Callable[[], Due]] = field(factory=dict)

    def enter(self, task_id: str, due: Callable[[], Due]) -> None:
        """Count a task from now on."""
        self._tasks[task_id] = due

    def leave(self, task_id: str) -> None:
        """Count a task no longer."""
        self._tasks.pop(task_id, None)

    @property
    def gas(self) -> int:
        """The gas of every transaction still to come."""
        return sum(due.reveal + due.other for due in self._all())

    def reveals(self, *, but: str = "") -> int:
        """The gas of the reveals of contributions that stand, without that of the task *but*."""
        return sum(ask().reveal for task_id, ask in self._tasks.items() if task_id != but)

    def _all(self) -> list[Due]:
        return [ask() for ask in self._tasks.values()]
