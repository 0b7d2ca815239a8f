"""
Every exception of the worker, named after the reaction it deserves.

    WorkerError
    ├── Fatal                 the process ends, non-zero, with this text
    │   └── ConfigError       … with status 2, before anything was contacted
    ├── Transient             the same call may work later: retry within a budget
    │   ├── Unavailable       no answer, connection lost, 5xx, not JSON
    │   │   └── Unserved      … of a service that this one task needs; has a cause of its own
    │   └── OutOfGas          the wallet cannot pay for a transaction now
    ├── Unauthorized          the pool does not know our token: log in, once
    ├── Rejected              the other side understood and said no: do not repeat
    │   ├── EngineRefused     … the container engine
    │   ├── PullFailed        … or the image did not arrive within its limits
    │   ├── DownloadFailed    … a dataset or an input file cannot be had
    │   ├── BadChecksum       … or the dataset is not what the chain says
    │   └── Reverted          … the contract; carries the decoded reason
    ├── Declined              this machine does not do it, another one may: no error result
    ├── SessionLost           the session with the pool is over: make it again
    └── StageFailed           a stage ends this task; carries the cause for the pool
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iexec_worker.wire import Cause


class WorkerError(Exception):
    """Base of all errors of this package; its text gives subject, fact and next step."""


class Fatal(WorkerError):
    """Raised when the process cannot go on and only a person can change that."""


class ConfigError(Fatal):
    """Raised with every problem of the configuration at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Transient(WorkerError):
    """Raised when the same call may well work later."""


class Unavailable(Transient):
    """Raised when a service gave no usable answer: no connection, a 5xx, a time-out, not JSON."""


class Unserved(Unavailable):
    """Raised when a service that one task needs is away; if it stays so, *cause* is told."""

    def __init__(self, message: str, cause: Cause) -> None:
        self.cause = cause
        super().__init__(message)


class OutOfGas(Transient):
    """Raised when the wallet cannot pay for a transaction at the configured price."""


class Unauthorized(WorkerError):
    """Raised when a service does not accept our token."""


class Rejected(WorkerError):
    """Raised when a service understood the request and refused it; repeating it is useless."""


class EngineRefused(Rejected):
    """Raised when the container engine refuses a call (bad image, bad command, conflict)."""


class PullFailed(Rejected):
    """Raised when an image could not be pulled: refused, unknown, too slow or stalled."""


class DownloadFailed(Rejected):
    """Raised when a dataset or an input file cannot be downloaded."""


class BadChecksum(Rejected):
    """Raised when a dataset arrived and its sha256 is not the one on-chain."""


class Reverted(Rejected):
    """Raised when a contract refuses a call; the text holds the decoded reason."""


class Declined(WorkerError):
    """Raised for work that this machine cannot or, by its operator's limits, may not do."""


class SessionLost(WorkerError):
    """Raised to end the session with the pool; the membership makes a new one."""


class StageFailed(WorkerError):
    """
    Raised when a stage ends its task.

    *cause* is what the pool is told; *exit_code*, *stdout* and *stderr* are set by
    compute only.
    """

    def __init__(
        self,
        cause: Cause,
        message: str = "",
        *,
        exit_code: int | None = None,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        self.cause = cause
        self.message = message
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(f"{cause}: {message}" if message else str(cause))
