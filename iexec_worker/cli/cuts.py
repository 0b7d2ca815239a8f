"""Cuts at a given step of a worker's life: its parts, all of it, or the process itself."""

from __future__ import annotations

import enum
import os
import re
import signal
from typing import TYPE_CHECKING, Final, Self

import structlog
import trio
from attrs import define, field, frozen

from iexec_worker.telemetry.tree import PART

if TYPE_CHECKING:
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Parts whose steps count: replicates, named by their tasks, and the writer of transactions. The
#: others look at the world again and again, whether or not there is work.
_COUNTED: Final = re.compile(r"0x[0-9a-f]{64}|transactions")


class Kind(enum.StrEnum):
    """What is cut."""

    PART = "part"
    ROOT = "root"
    CRASH = "crash"


@frozen(order=True)
class Cut:
    """
    One cut, at the *step*-th step.

    PART cancels the part whose step it is, which its supervisor starts again; ROOT cancels all, and
    every cleanup runs; CRASH is the end of the process, and nothing of it runs.
    """

    step: int
    kind: Kind

    @classmethod
    def read(cls, text: str) -> Self:
        """Read `KIND@STEP`. Raises `ValueError`."""
        kind, _, step = text.partition("@")
        return cls(int(step), Kind(kind))


@define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts how often tasks of replicates or the writer run, and makes *cuts*; all is *root*."""

    cuts: list[Cut]
    root: trio.CancelScope
    _count: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.cuts = sorted(self.cuts)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count; Trio calls this."""
        part = task.context.get(PART)
        if part is None or not _COUNTED.fullmatch(part.name):
            return
        self._count += 1
        while self.cuts and self.cuts[0].step <= self._count:
            self._make(self.cuts.pop(0), part)

    def _make(self, cut: Cut, part: Node) -> None:
        log.warning("cut", kind=cut.kind, step=cut.step, part=part.name, doing=part.doing)
        match cut.kind:
            case Kind.PART:
                part.interrupt()
            case Kind.ROOT:
                self.root.cancel()
            case Kind.CRASH:
                os.kill(os.getpid(), signal.SIGKILL)
