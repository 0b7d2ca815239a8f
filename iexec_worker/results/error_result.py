"""The result of a task whose app could not run: the error itself, in the pool's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from iexec_worker.results.computed_file import NAME, write_whole
from iexec_worker.versions import parse

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.wire import Cause, Status

_ERROR_FILE: Final = "error.txt"
_NEWEST: Final = (9, 2)


def error_bytes(failed: Status, cause: Cause, pool_version: str) -> bytes:
    """
    What workers of a pool of *pool_version* say of a task that *failed* because of *cause*.

    Consensus with them depends on every byte. A version that cannot be read counts as the newest.
    """
    version = parse(pool_version) or _NEWEST
    if version < (9, 1):
        text = f"Error occurred while computing the task [error:{failed}, cause:{cause}]"
    else:
        listed = str(cause) if version < _NEWEST else f"WorkflowError[cause={cause}, message=]"
        text = f"Errors occurred while computing the task [error:{failed}, causes:[{listed}]]"
    return f"[IEXEC] {text}".encode()


def write(iexec_out: Path, failed: Status, cause: Cause, pool_version: str) -> None:
    """Leave the error in *iexec_out* as an app leaves its result. Raises `OSError`."""
    iexec_out.mkdir(parents=True, exist_ok=True)
    write_whole(iexec_out / _ERROR_FILE, error_bytes(failed, cause, pool_version))
    computed = {"deterministic-output-path": f"/iexec_out/{_ERROR_FILE}"}
    write_whole(iexec_out / NAME, json.dumps(computed).encode())


def is_there(iexec_out: Path) -> bool:
    """True iff an error was left in *iexec_out*; no app may have run there."""
    return (iexec_out / NAME).exists() and (iexec_out / _ERROR_FILE).exists()
