from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from typing import Any

import pytest
import structlog

from iexec_worker.secret import Secret
from iexec_worker.telemetry import logs

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def failure(error: Exception, cause: Exception | None = None) -> Exception:
    """The same error with a traceback."""
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def test_json_is_one_object_a_line_with_time_level_and_event_first(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream)

    log.warning("link lost", reason="silence", seconds=15)

    (event,) = events(stream)
    assert list(event) == ["timestamp", "level", "event", "reason", "seconds"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.pop("timestamp"))
    assert event == {"level": "warning", "event": "link lost", "reason": "silence", "seconds": 15}


def test_console_is_a_line_for_a_person(stream: io.StringIO) -> None:
    logs.configure("info", "console", stream=stream)

    log.info("pulled", image="busybox:1.36", took="4 s")

    assert re.fullmatch(
        r'\S+Z info     pulled  image=busybox:1\.36 took="4 s"\n', stream.getvalue()
    )


def test_auto_is_json_where_no_terminal_is(stream: io.StringIO) -> None:
    logs.configure("info", "auto", stream=stream)

    log.info("started")

    assert events(stream)[0]["event"] == "started"


def test_events_below_the_level_are_not_written(stream: io.StringIO) -> None:
    logs.configure("warning", "json", stream=stream)

    log.info("pulled")
    log.error("failed")

    assert [event["event"] for event in events(stream)] == ["failed"]


def test_a_later_configuration_holds_for_loggers_already_used(stream: io.StringIO) -> None:
    first = io.StringIO()
    logs.configure("info", "json", stream=first)
    log.info("one")
    logs.configure("info", "json", stream=stream)

    log.info("two")
    logging.getLogger("urllib3").warning("three")

    assert [event["event"] for event in events(first)] == ["one"]
    assert [event["event"] for event in events(stream)] == ["two", "three"]


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_secret_is_nowhere_in_an_event(stream: io.StringIO, fmt: str) -> None:
    secret = 'p@ss "word"\nof two lines'
    logs.configure("debug", fmt, [Secret(secret)], stream=stream)

    error = failure(ValueError([secret]), cause=OSError(secret))
    log.error(secret, password=secret, deep=[{"a": error}], exc_info=error)

    text = stream.getvalue()
    assert text.count("***") >= 5
    assert "p@ss" not in text
    assert "two lines" not in text
    assert "ValueError" in text


def test_a_secret_that_turns_up_later_is_masked_too(stream: io.StringIO) -> None:
    redactor = logs.configure("info", "json", stream=stream)
    redactor.add(Secret("eyJhbGciOi"))

    log.info("logged in", token="Bearer eyJhbGciOi")

    assert events(stream)[0]["token"] == "Bearer ***"


def test_dependencies_log_through_the_same_pipeline(stream: io.StringIO) -> None:
    logs.configure("info", "json", [Secret("hunter2")], stream=stream)

    logging.getLogger("docker.utils.config").warning("bad auth %r", "hunter2")

    (event,) = events(stream)
    assert event["level"] == "warning"
    assert event["event"] == "bad auth '***'"
    assert event["logger"] == "docker.utils.config"


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "urllib3", "docker", "hypercorn"])
def test_what_dependencies_say_below_warning_is_not_heard(stream: io.StringIO, name: str) -> None:
    logs.configure("debug", "json", stream=stream)

    logging.getLogger(name).info("HTTP Request: GET … Authorization: …")
    logging.getLogger(name).debug("send_request_headers")

    assert stream.getvalue() == ""


def test_a_record_that_cannot_be_formatted_is_logged_without_its_arguments(
    stream: io.StringIO,
) -> None:
    logs.configure("info", "json", stream=stream)

    record = logging.LogRecord("urllib3", logging.ERROR, "", 0, "%d bytes", ("hunter2",), None)
    logging.getLogger().handlers[-1].handle(record)

    assert events(stream)[0]["event"] == "%d bytes"


def test_a_level_of_a_librarys_own_is_rounded_down(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream)

    logging.getLogger("web3").log(35, "between")
    logging.getLogger("web3").log(70, "above")

    assert [event["level"] for event in events(stream)] == ["warning", "critical"]


def test_a_traceback_of_a_dependency_is_kept(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=stream)

    error = failure(ZeroDivisionError())
    logging.getLogger("hypercorn.error").error("Error in ASGI Framework", exc_info=error)

    assert events(stream)[0]["exception"].endswith("\nZeroDivisionError")


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_escapes_in_a_strangers_value_do_not_reach_the_terminal(
    stream: io.StringIO, fmt: str
) -> None:
    logs.configure("info", fmt, stream=stream)

    log.warning("refused", reason="\x1b]0;owned\x07\nINFO all is well\u202e")

    line, end = stream.getvalue().split("\n")
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert end == ""


def test_an_exceptions_text_cannot_pass_for_an_event(stream: io.StringIO) -> None:
    logs.configure("info", "console", stream=stream)

    error = failure(ValueError("x\n2025-11-23T00:00:00Z info     all is well\x1b[2J"))
    log.error("failed", exc_info=error)

    first, *below = stream.getvalue().splitlines()
    assert first.endswith("error    failed")
    assert below
    assert all(line.startswith("    ") for line in below)
    assert "\x1b" not in stream.getvalue()


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_ends_nobody(stream: io.StringIO) -> None:
    logs.configure("info", "json", stream=FullDisk())

    log.error("disk is full")


def test_levels_are_coloured_on_a_terminal_only(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "isatty", lambda: True)
    logs.configure("info", "auto", stream=stream)

    log.error("failed")

    assert "\x1b[31merror   \x1b[0m failed" in stream.getvalue()


@pytest.mark.slow
def test_standard_error_gets_the_log_and_standard_output_nothing() -> None:
    program = (
        "import structlog; from iexec_worker.telemetry import logs;"
        "logs.configure('info', 'auto'); structlog.get_logger().info('started')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )

    assert json.loads(done.stderr)["event"] == "started"
    assert done.stdout == ""
