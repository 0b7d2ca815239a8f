"""Requests of workers as Jackson reads them: unknown fields do not matter, unknown names do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from iexec_worker.devpool.http.spring import BadRequest
from iexec_worker.devpool.scheduler import causes
from iexec_worker.wire import Status, member

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The scheduler keeps the end of what an app printed, so many characters each.
_LOG_LIMIT: Final = 100_000


@frozen
class Model:
    """What a worker says of itself (`WorkerModel`)."""

    name: str
    os: str
    cpu: str
    cpu_nb: int
    memory_size: int
    gpu_enabled: bool
    tee_enabled: bool
    tdx_enabled: bool


@frozen
class Details:
    """What comes with a status (`ReplicateStatusDetails`); *block* 0: no receipt."""

    block: int = 0
    cause: str | None = None
    result_link: str = ""
    callback_data: str = ""
    logs: tuple[str, str] | None = None
    exit_code: int | None = None


@frozen
class Update:
    """One `ReplicateStatusUpdate`; *raw* has the details as they came."""

    status: Status
    details: Details
    raw: dict[str, Any]


def read_model(body: Mapping[str, Any]) -> Model:
    """Read a worker's model; raises BadRequest."""
    return Model(
        name=_text(body, "name"),
        os=_text(body, "os"),
        cpu=_text(body, "cpu"),
        cpu_nb=_number(body, "cpuNb") or 0,
        memory_size=_number(body, "memorySize") or 0,
        gpu_enabled=_flag(body, "gpuEnabled"),
        tee_enabled=_flag(body, "teeEnabled"),
        tdx_enabled=_flag(body, "tdxEnabled"),
    )


def read_update(body: Mapping[str, Any], major: int) -> Update:
    """Read a status update; raises BadRequest, also for causes this version does not know."""
    status = member(Status, body.get("status"))
    if status is None or body.get("modifier") not in (None, "WORKER", "POOL_MANAGER"):
        raise BadRequest
    raw = _inner(body, "details")
    return Update(status, _details(raw, major), dict(raw))


def _details(raw: Mapping[str, Any], major: int) -> Details:
    cause = raw.get("cause")
    if cause is not None and not (isinstance(cause, str) and causes.known(cause, major)):
        raise BadRequest
    logs = _inner(raw, "computeLogs")
    return Details(
        block=_number(_inner(raw, "chainReceipt"), "blockNumber") or 0,
        cause=cause,
        result_link=_text(raw, "resultLink"),
        callback_data=_text(raw, "chainCallbackData"),
        logs=(_end(logs, "stdout"), _end(logs, "stderr")) if logs else None,
        exit_code=_number(raw, "exitCode"),
    )


def _inner(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest
    return value or {}


def _end(logs: Mapping[str, Any], name: str) -> str:
    return _text(logs, name)[-_LOG_LIMIT:]


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if isinstance(value, dict | list):
        raise BadRequest
    return "" if value is None else str(value)


def _number(body: Mapping[str, Any], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        raise BadRequest from None


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest
    return bool(value)
