"""All that the HTTP server sees of the worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import trio
from attrs import frozen

from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node

if TYPE_CHECKING:
    from iexec_worker.model import Authorization, ComputedFile
    from iexec_worker.tee.model import Part
    from iexec_worker.wire import Cause


class ReportsPort(Protocol):
    """Where the enclaves of one task are heard; what they say is on disk before a call returns."""

    @property
    def authorization(self) -> Authorization:
        """The pool's permission: whose signature counts, and for which worker."""

    async def exit(self, part: Part, causes: tuple[Cause, ...]) -> bool:
        """Take why *part* failed; False when that has been told already."""

    async def computed(self, file: ComputedFile) -> bool:
        """Take the result; False when there is one already, or none can be wanted any more."""


@frozen
class View:
    """
    Values that are read, and functions that are called, at every request.

    *alive* is False when only a restart of the process would help; nothing outside the
    process (scheduler, node, engine) counts. *readiness* says for each thing that work needs
    why it is not there, in one line, or None. *redact* masks secrets in JSON values: errors
    of clients may quote URLs with keys in them, and anyone who reaches the port can read.

    *settle* returns when it is known which tasks are here, or after a while when it is not.
    *reports* gives the port of the task with that id, None when there is no such task here.
    *pool_version* is what the pool says of itself, empty before it did. *is_container* is True
    for the address of a container on the network of trusted tasks.
    """

    root: Node
    durations: Durations
    metrics: Metrics
    alive: Callable[[], bool]
    readiness: Callable[[], Mapping[str, str | None]]
    redact: Callable[[Any], Any]
    settle: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
    reports: Callable[[str], ReportsPort | None] = lambda _: None
    pool_version: Callable[[], str] = lambda: ""
    is_container: Callable[[str], bool] = lambda _: False
