"""What a demo looks like: a live picture on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from attrs import define, field
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from iexec_worker.devpool.demo.progress import Step, View


class Screen(Protocol):
    """Where a demo shows itself."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def say(self, text: str) -> None:
        """Tell what is being done."""

    def show(self, view: View) -> None:
        """Show what happens now."""


@define(eq=False)
class Lines:
    """Plain lines: whatever has changed since the last picture."""

    console: Console
    _began: float = field(factory=time.monotonic)
    _said: dict[tuple[int, str], str] = field(factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None:
        passed = time.monotonic() - self._began
        self.console.print(f"{passed:6.1f} s  {text}", markup=False, highlight=False)

    def show(self, view: View) -> None:
        for task in view.tasks:
            self._once((task.number, ""), f"task {task.number}: {task.state}")
            for step in task.steps:
                # What is being done changes all the time; here only what is told to the pool.
                said = f"task {task.number}: {step.worker} {step.status}"
                self._once((task.number, step.worker), said)

    def _once(self, subject: tuple[int, str], text: str) -> None:
        if self._said.get(subject) != text:
            self._said[subject] = text
            self.say(text)


@define(eq=False)
class Picture:
    """A table that changes in place, below what was said."""

    console: Console
    _live: Live = field(init=False)
    _lines: Lines = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._live = Live(console=self.console, transient=True, refresh_per_second=10)
        self._lines = Lines(self.console)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._lines.say(text)

    def show(self, view: View) -> None:
        self._live.update(Group(_tasks(view), _workers(view)))


def open_screen(console: Console) -> Screen:
    """Return what suits *console*."""
    return Picture(console) if console.is_terminal else Lines(console)


def _tasks(view: View) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("TASK", "POOL SAYS", "WORKER", "TOLD", "NOW"):
        table.add_column(title, no_wrap=True)
    for task in view.tasks:
        name = f"{task.number}  {task.task_id[:10]}…"
        for row, step in enumerate(task.steps or (None,)):
            told = _told(step)
            table.add_row(*((name, task.state) if row == 0 else ("", "")), *told)
    return table


def _told(step: Step | None) -> tuple[str, str, str]:
    return ("", "", "") if step is None else (step.worker, step.status, escape(step.doing))


def _workers(view: View) -> Text:
    lines = (f"{name}: {doing}" for name, doing in view.workers.items() if doing)
    return Text("\n" + "\n".join(lines), style="dim", overflow="ellipsis", no_wrap=True)
