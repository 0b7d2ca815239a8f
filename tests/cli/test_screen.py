from __future__ import annotations

import io

import pytest
from rich.console import Console

from iexec_worker.cli.screen import Lines, Picture, open_screen
from iexec_worker.devpool.demo.progress import Step, TaskView, View

STEP = Step("worker-1", "APP_DOWNLOADING", "pulling app:1: 12 % of 16.0 MB")
VIEW = View((TaskView(0, "0x" + "ab" * 32, "RUNNING", (STEP,)),), {"worker-1": "no slot is free"})


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None)


def shown(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def test_a_terminal_gets_a_picture_and_others_get_lines() -> None:
    assert isinstance(open_screen(console(terminal=True)), Picture)
    assert isinstance(open_screen(console(terminal=False)), Lines)


def test_lines_say_what_has_changed_once() -> None:
    on = console(terminal=False)
    with open_screen(on) as screen:
        screen.show(VIEW)
        screen.show(VIEW)

    assert [line.split("s  ", 1)[1] for line in shown(on).splitlines()] == [
        "task 0: RUNNING",
        "task 0: worker-1 APP_DOWNLOADING",
    ]


def test_the_picture_has_every_step_in_words() -> None:
    on = console(terminal=True)
    with open_screen(on) as screen:
        screen.show(VIEW)

    for text in ("RUNNING", "APP_DOWNLOADING", "12 % of 16.0 MB", "no slot is free"):
        assert text in shown(on)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_said_is_taken_as_it_is(terminal: bool) -> None:
    on = console(terminal=terminal)
    open_screen(on).say("[red]not a colour[/red]")

    assert "[red]not a colour[/red]" in shown(on)
