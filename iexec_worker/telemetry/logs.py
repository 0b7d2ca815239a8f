"""
The log: one pipeline for our events and those of dependencies, to standard error.

Modules only say `log = structlog.get_logger()`; the composition root calls `configure` once.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Final, TextIO

import structlog

from iexec_worker.telemetry.redaction import Redactor, printable

if TYPE_CHECKING:
    from collections.abc import Collection

    from structlog.typing import EventDict, Processor

    from iexec_worker.secret import Secret

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

_COLOURS: Final = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}


def configure(
    level: str,
    fmt: str,
    secrets: Collection[Secret] = (),
    *,
    stream: TextIO | None = None,
) -> Redactor:
    """
    Send every event of at least *level* to *stream*, standard error by default.

    *fmt* is "console", "json", or "auto": console on a terminal, json elsewhere. Dependencies
    that use the standard library's logging are heard from WARNING on, whatever *level* is:
    their lower levels print headers, and with them tokens. May be called again; the last call
    holds. Secrets that turn up later are given to the returned redactor.
    """
    stream = sys.stderr if stream is None else stream
    redactor = Redactor(secrets)
    writer = _Writer(stream)
    structlog.configure(
        processors=_pipeline(redactor, _renderer(fmt, terminal=stream.isatty())),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        # Loggers at module level must follow a later call, and tests that capture.
        cache_logger_on_first_use=False,
    )
    _hear_dependencies()
    return redactor


def _pipeline(redactor: Redactor, renderer: Processor) -> list[Processor]:
    def clean(_logger: object, _method: str, event: EventDict) -> EventDict:
        exception = event.pop("exception", None)
        head = {name: event.pop(name) for name in ("timestamp", "level", "event")}
        cleaned: EventDict = redactor.value({**head, **event})
        if exception is not None:
            cleaned["exception"] = printable(redactor.text(exception), keep="\n")
        return cleaned

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        # Last but one: a renderer escapes, and an escaped secret would no longer be found.
        clean,
        renderer,
    ]


def _renderer(fmt: str, *, terminal: bool) -> Processor:
    if fmt == "json" or (fmt == "auto" and not terminal):
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return _Console(colours=terminal)


class _Console:
    """One line per event for a person; the lines of a traceback are indented below it."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: object, _method: str, event: EventDict) -> str:
        head = f"{event.pop('timestamp')} {self._level(event.pop('level'))} {event.pop('event')}"
        exception = event.pop("exception", "")
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in event.items())
        # Indented, so that no text of a stranger in it can pass for an event of its own.
        below = "".join(f"\n    {line}" for line in exception.split("\n") if line)
        return f"{head}{' ' if pairs else ''}{pairs}{below}"

    def _level(self, level: str) -> str:
        colour = _COLOURS.get(level) if self._colours else None
        return f"\x1b[{colour}m{level:<8}\x1b[0m" if colour else f"{level:<8}"


def _quoted(value: object) -> str:
    text = str(value)
    if text and not any(character in text for character in ' "='):
        return text
    return '"' + text.replace('"', '\\"') + '"'


class _Writer:
    """
    Writes whole lines, from any thread.

    A log that cannot be written (disk full, reader gone) must not end the service that logged.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        try:
            with self._lock:
                self._stream.write(f"{line}\n")
                self._stream.flush()
        except (OSError, ValueError):
            pass  # ValueError: the stream is closed, as at the end of the process

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Turns records of the standard library's logging into events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - anything may go wrong in a stranger's format
            # The text alone: its arguments may hold anything.
            text = str(record.msg)
        log.log(_level(record), text, logger=record.name, exc_info=record.exc_info)


def _level(record: logging.LogRecord) -> int:
    """Round down to a level that has a name; libraries make up their own."""
    return max(min(record.levelno // 10 * 10, logging.CRITICAL), logging.DEBUG)


def _hear_dependencies() -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
