from __future__ import annotations

from typing import Any

import pytest

from iexec_worker.engine.state import read_exit, read_found, time_left


def inspected(started: str, finished: str) -> dict[str, Any]:
    state = {
        "Status": "exited",
        "StartedAt": started,
        "FinishedAt": finished,
        "ExitCode": 3,
        "OOMKilled": False,
    }
    config = {"Image": "app:1", "Labels": None}
    return {"Id": "aa", "Name": "/w-0x1", "State": state, "Config": config}


def test_the_duration_is_the_engines_in_milliseconds() -> None:
    found = inspected("2024-03-01T23:59:59.900000001Z", "2024-03-02T00:00:01.25Z")

    assert read_exit(found, timed_out=False).duration == pytest.approx(1350)


def test_the_duration_is_never_negative() -> None:
    found = inspected("2024-03-01T12:00:00Z", "2024-03-01T11:00:00Z")

    assert read_exit(found, timed_out=False).duration == 0


def test_a_container_that_never_ran_is_read() -> None:
    never = "0001-01-01T00:00:00Z"

    assert read_exit(inspected(never, never), timed_out=False).duration == 0
    assert read_found(inspected(never, never)).started_at < 0


def test_a_container_that_was_stopped_for_its_limit_has_no_exit_code() -> None:
    found = inspected("2024-03-01T12:00:00Z", "2024-03-01T12:00:01Z")

    assert read_exit(found, timed_out=True).exit_code == -1


def test_a_found_container_has_its_plain_name() -> None:
    assert (
        read_found(inspected("2024-03-01T12:00:00+00:00", "2024-03-01T12:00:00Z")).name == "w-0x1"
    )


@pytest.mark.parametrize(
    ("status", "gone", "left"),
    [
        ("running", 0, 10),
        ("running", 4, 6),
        ("running", 11, 0),
        # The clock was set back.
        ("running", -5, 10),
        ("exited", 3_600, 10),
    ],
)
def test_the_time_left_counts_from_the_engines_start(status: str, gone: float, left: float) -> None:
    found = inspected("2024-03-01T12:00:00Z", "0001-01-01T00:00:00Z")
    found["State"]["Status"] = status
    started = read_found(found).started_at

    assert time_left(found, 10, now=started + gone) == left
