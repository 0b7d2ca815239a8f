"""
JSON of the pool ↔ values of the model. Sans-IO.

Read by hand, field by field: a converter would turn nulls and numbers into text, and a newer
pool's names into crashes. What is missing or has the wrong type raises `ValueError`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import isodate  # type: ignore[import-untyped]  # it ships none
import structlog

from iexec_worker.fields import Fields, brief
from iexec_worker.model import (
    ZERO_HASH,
    Authorization,
    ChainConfig,
    Notification,
    PoolConfig,
    ReplicateOffer,
    StatusUpdate,
    WorkerModel,
)
from iexec_worker.wire import Action, Cause, converter, member

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds between two questions for work when the pool gives no usable period: its own default.
DEFAULT_ASK_PERIOD: Final = 5.0

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")


def pool_config(body: object) -> PoolConfig:
    """`GET /workers/config`. Pools before 9 may have `blockchainAdapterUrl` only."""
    fields = Fields.of(body, "the pool's configuration")
    url = fields.text("configServerUrl").strip() or fields.text("blockchainAdapterUrl").strip()
    period = fields.whole("askForReplicatePeriod", 0) / 1000
    return PoolConfig(
        pool_address=fields.lower("workerPoolAddress"),
        scheduler_address=fields.text("schedulerPublicAddress").lower(),
        config_server_url=url.rstrip("/"),
        result_proxy_url=fields.text("resultRepositoryURL").strip().rstrip("/"),
        # 0 would make a busy loop of the question for work.
        ask_period=period if period > 0 else DEFAULT_ASK_PERIOD,
        required_worker_version=fields.text("requiredWorkerVersion").strip(),
    )


def chain_config(body: object) -> ChainConfig:
    """`GET /config/chain` of the config server."""
    fields = Fields.of(body, "the chain configuration")
    return ChainConfig(
        chain_id=fields.whole("chainId"),
        sidechain=bool(fields.values.get("sidechain")),
        node_url=fields.text("chainNodeUrl").strip(),
        hub_address=fields.lower("iexecHubContractAddress"),
        block_time=block_time(fields.values.get("blockTime")),
    )


def block_time(value: object) -> float:
    """Seconds of a Java `Duration` in any of its spellings: `"PT5S"`, `"PT0.5S"`, `5`, `5.0`."""
    try:
        seconds = _duration(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"blockTime {brief(value)} is neither an ISO-8601 duration nor seconds"
        ) from error
    if not 0 < seconds < float("inf"):
        raise ValueError(f"blockTime {brief(value)} is not a positive time")
    return seconds


def _duration(value: Any) -> float:  # noqa: ANN401 - whatever was in the JSON
    if isinstance(value, str) and value.upper().startswith("P"):
        duration = isodate.parse_duration(value.upper(), as_timedelta_if_possible=True)
        return float(duration / timedelta(seconds=1))
    return float(value)


def offer(body: object) -> ReplicateOffer:
    """`GET /replicates/available` when there is work."""
    fields = Fields.of(body, "the offered replicate")
    return ReplicateOffer(
        authorization=_authorization(fields.inner("workerpoolAuthorization")),
        sms_url=fields.text("smsUrl").strip() or None,
    )


def _authorization(fields: Fields) -> Authorization:
    return Authorization(
        chain_task_id=fields.lower("chainTaskId"),
        worker_wallet=fields.lower("workerWallet"),
        enclave_challenge=fields.lower("enclaveChallenge"),
        signature=fields.inner("signature").lower("value"),
        # Since 9.0.
        deal_id=fields.text("dealId").lower() or ZERO_HASH,
        task_index=fields.whole("taskIndex", 0),
    )


def action(name: object) -> Action | None:
    """Return the action of that name; None, with a warning, when it is not one we know."""
    known = member(Action, name)
    if known is None:
        log.warning("unknown action ignored; is the pool newer than 9.x?", action=brief(name))
    return known


def is_action_name(text: str) -> bool:
    """True iff *text* could name an action of some version of the protocol."""
    return _NAME.fullmatch(text) is not None


def notification(body: object) -> Notification | None:
    """
    One TaskNotification, from the link or a list; None when its action is unknown.

    Additional fields are ignored: the pool itself adds a top-level `taskAbortCause`.
    """
    fields = Fields.of(body, "the notification")
    task_id = fields.lower("chainTaskId")
    if not _HASH.fullmatch(task_id):
        raise ValueError("chainTaskId is not a hash")
    asked = action(fields.values.get("taskNotificationType"))
    extra = fields.inner_or_none("taskNotificationExtra") or Fields({})
    given = extra.inner_or_none("workerpoolAuthorization")
    if asked is None:
        return None
    return Notification(
        chain_task_id=task_id,
        action=asked,
        workers=_workers(fields.values.get("workersAddress")),
        block_number=extra.whole("blockNumber", 0),
        abort_cause=_cause(extra) or _cause(fields) or Cause.UNKNOWN,
        authorization=None if given is None else _authorization(given),
    )


def _workers(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(worker, str) for worker in value):
        raise ValueError("workersAddress is not a list of addresses")
    return tuple(worker.lower() for worker in value)


def _cause(fields: Fields) -> Cause | None:
    return member(Cause, fields.values.get("taskAbortCause"))


def notifications(body: object) -> tuple[Notification, ...]:
    """`GET /replicates/interrupted`; items that cannot be read cost a warning, not the rest."""
    if not isinstance(body, list):
        raise ValueError("the interrupted replicates are not a list")  # noqa: TRY004 - as above
    read, unread = [], []
    for item in body:
        try:
            read.append(notification(item))
        except ValueError as error:
            unread.append((str(error), item))
    if unread:
        reason, item = unread[0]
        log.warning(
            "unreadable notifications ignored", number=len(unread), reason=reason, text=brief(item)
        )
    return tuple(one for one in read if one is not None)


def task_ids(body: object) -> tuple[str, ...]:
    """`GET /workers/computing`."""
    if not isinstance(body, list) or not all(isinstance(task, str) for task in body):
        raise ValueError("the computing tasks are not a list of ids")
    return tuple(task.lower() for task in body)


def worker_model(model: WorkerModel) -> dict[str, Any]:
    """Return the body of `POST /workers/register`."""
    fields: dict[str, Any] = converter().unstructure(model)
    return fields


def status_update(update: StatusUpdate) -> dict[str, Any]:
    """Return the body of `POST /replicates/<id>/updateStatus`."""
    fields: dict[str, Any] = converter().unstructure(update)
    status = fields.pop("status")
    details = {name: value for name, value in fields.items() if value is not None}
    return {"status": status, "details": details} if details else {"status": status}
