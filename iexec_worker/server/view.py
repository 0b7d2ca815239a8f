"""All that the HTTP server sees of the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node


@frozen
class View:
    """
    Values that are read, and functions that are called, at every request.

    *alive* is False when only a restart of the process would help; nothing outside the
    process (scheduler, node, engine) counts. *readiness* says for each thing that work needs
    why it is not there, in one line, or None. *redact* masks secrets in JSON values: errors
    of clients may quote URLs with keys in them, and anyone who reaches the port can read.
    """

    root: Node
    durations: Durations
    metrics: Metrics
    alive: Callable[[], bool]
    readiness: Callable[[], Mapping[str, str | None]]
    redact: Callable[[Any], Any]
