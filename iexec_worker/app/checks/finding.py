"""What a look at one thing says."""

from __future__ import annotations

import enum

from attrs import frozen

from iexec_worker.errors import WorkerError


class Level(enum.StrEnum):
    """How bad it is. SKIPPED: something else has to be mended first."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@frozen
class Finding:
    """One line: the *fact*, and the *fix* where one is needed."""

    name: str
    level: Level
    fact: str
    fix: str = ""


class Wrong(WorkerError):
    """Raised by a look for what keeps the worker from working; *fix* is what to do."""

    level = Level.FAIL

    def __init__(self, fact: str, fix: str = "") -> None:
        self.fix = fix
        super().__init__(fact)


class Odd(Wrong):
    """Raised by a look for what works now and may not for long."""

    level = Level.WARN


class Unknown(Wrong):
    """Raised by a look that has nothing to look at."""

    level = Level.SKIPPED
