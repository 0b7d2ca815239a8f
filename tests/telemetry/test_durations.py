from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.telemetry.durations import Durations, Stats, Window


def test_an_empty_window_has_no_figures() -> None:
    stats = Window(3).stats()

    assert stats.count == 0
    assert math.isnan(stats.minimum)
    assert math.isnan(stats.maximum)
    assert math.isnan(stats.average)


def test_the_window_slides_over_the_last_runs() -> None:
    window = Window(3)
    for ms in (1.0, 100.0, 4.0, 7.0):
        window.add(ms)
    assert window.stats() == Stats(4.0, 100.0, 37.0, 3)

    window.add(1.0)
    assert window.stats() == Stats(1.0, 7.0, 4.0, 3)


@given(st.integers(1, 9), st.lists(st.floats(0, 1e9)))
def test_the_window_is_the_tail_of_the_list(size: int, runs: list[float]) -> None:
    window = Window(size)
    for ms in runs:
        window.add(ms)

    stats, tail = window.stats(), runs[-size:]
    assert stats.count == len(tail)
    if tail:
        assert (stats.minimum, stats.maximum) == (min(tail), max(tail))
        assert stats.average == pytest.approx(sum(tail) / len(tail))


def test_a_tee_computation_is_complete_with_its_post_compute() -> None:
    durations = Durations(10)
    task = durations.task()
    task.pre(3835.0)
    task.app(4349.0)
    assert durations.complete.stats().count == 0

    task.post(16080.0)

    assert durations.complete.stats() == Stats(24264.0, 24264.0, 24264.0, 1)


def test_without_pre_compute_it_is_app_and_post() -> None:
    durations = Durations(10)
    task = durations.task()
    task.app(10.0)
    task.post(5.0)

    assert durations.complete.stats().average == 15.0
    assert durations.pre.stats().count == 0


def test_a_standard_task_is_never_complete() -> None:
    durations = Durations(10)
    durations.task().app(10.0)

    assert durations.app.stats().count == 1
    assert durations.complete.stats().count == 0


def test_tasks_side_by_side_do_not_mix() -> None:
    durations = Durations(10)
    one, other = durations.task(), durations.task()
    one.pre(1.0)
    other.app(1000.0)
    one.app(10.0)
    one.post(100.0)

    assert durations.complete.stats() == Stats(111.0, 111.0, 111.0, 1)


def test_an_app_that_ran_before_a_restart_leaves_the_computation_incomplete() -> None:
    durations = Durations(10)
    durations.task().post(5.0)

    assert durations.post.stats().count == 1
    assert durations.complete.stats().count == 0
