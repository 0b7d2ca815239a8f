from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from iexec_worker.foreign import authorization_body
from iexec_worker.model import ZERO_HASH
from iexec_worker.scheduler import messages
from iexec_worker.wire import Action, Cause
from tests.scheduler.conftest import TASK, WALLET

AUTHORIZATION = {
    "chainTaskId": TASK,
    "workerWallet": WALLET,
    "enclaveChallenge": "0x" + "0" * 40,
    "signature": {"value": "0x12"},
}
REVEAL = {
    "chainTaskId": TASK,
    "workersAddress": [WALLET],
    "taskNotificationType": "PLEASE_REVEAL",
    "taskNotificationExtra": {
        "workerpoolAuthorization": None,
        "smsUrl": None,
        "blockNumber": 42,
        "taskAbortCause": None,
    },
    "taskAbortCause": "UNKNOWN",
}
POOL: dict[str, Any] = {
    "workerPoolAddress": "0xAB",
    "schedulerPublicAddress": "0xCD",
    "configServerUrl": "http://config:8888/",
    "resultRepositoryURL": "http://proxy:13200",
    "askForReplicatePeriod": 5000,
    "requiredWorkerVersion": "",
}


def test_a_pools_configuration() -> None:
    config = messages.pool_config(POOL | {"fieldOfTomorrow": {}})

    assert config.pool_address == "0xab"
    assert config.scheduler_address == "0xcd"
    assert config.config_server_url == "http://config:8888"
    assert config.ask_period == 5.0
    assert config.required_worker_version == ""


def test_an_8_6_pool_may_name_its_blockchain_adapter_only() -> None:
    old = {name: value for name, value in POOL.items() if name != "configServerUrl"}

    for blank in ({}, {"configServerUrl": None}, {"configServerUrl": " "}):
        config = messages.pool_config(
            old | blank | {"blockchainAdapterUrl": "http://adapter:13010"}
        )
        assert config.config_server_url == "http://adapter:13010"


@pytest.mark.parametrize("period", [0, -1, None])
def test_a_period_of_nothing_makes_no_busy_loop(period: int | None) -> None:
    assert messages.pool_config(POOL | {"askForReplicatePeriod": period}).ask_period == 5.0


@pytest.mark.parametrize(
    "bad",
    [
        {"workerPoolAddress": None},
        {"workerPoolAddress": 7},
        {"resultRepositoryURL": []},
        {"askForReplicatePeriod": "5000"},
        {"askForReplicatePeriod": True},
        {"askForReplicatePeriod": 10**400},
    ],
)
def test_a_pools_configuration_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        messages.pool_config(POOL | bad)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("PT5S", 5.0), ("PT0.5S", 0.5), ("pt1m", 60.0), (5, 5.0), (5.0, 5.0), ("5.000000000", 5.0)],
)
def test_a_block_time_in_all_its_spellings(value: object, seconds: float) -> None:
    assert messages.block_time(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        [],
        "PT0S",
        0,
        -5,
        "P1M",
        "P1Y",
        "P",
        "nan",
        "inf",
        10**400,
        "P99999999999999D",
    ],
)
def test_a_block_time_that_is_none(value: object) -> None:
    with pytest.raises(ValueError, match="blockTime"):
        messages.block_time(value)


def test_an_offer_of_8_6_and_of_9() -> None:
    old = messages.offer({"workerpoolAuthorization": AUTHORIZATION, "smsUrl": None})
    new = messages.offer(
        {
            "workerpoolAuthorization": AUTHORIZATION | {"dealId": "0xAB", "taskIndex": 3},
            "smsUrl": "http://sms",
        }
    )

    assert (old.authorization.deal_id, old.authorization.task_index) == (ZERO_HASH, 0)
    assert (old.authorization.signature, old.sms_url) == ("0x12", None)
    assert (new.authorization.deal_id, new.authorization.task_index) == ("0xab", 3)
    assert new.sms_url == "http://sms"


def test_an_authorization_goes_on_as_it_came() -> None:
    given = AUTHORIZATION | {"dealId": ZERO_HASH, "taskIndex": 3}

    offer = messages.offer({"workerpoolAuthorization": given, "smsUrl": None})

    assert json.loads(authorization_body(offer.authorization)) == given


def test_a_notification_with_the_extra_field_of_the_real_pool() -> None:
    read = messages.notification(REVEAL)

    assert read is not None
    assert (read.chain_task_id, read.action) == (TASK, Action.PLEASE_REVEAL)
    assert (read.workers, read.block_number) == ((WALLET,), 42)
    assert (read.abort_cause, read.authorization) == (Cause.UNKNOWN, None)
    assert read.is_for(WALLET)
    assert not read.is_for("0x" + "cd" * 20)


def test_a_notification_with_nothing_but_nulls() -> None:
    read = messages.notification(
        REVEAL | {"taskNotificationExtra": None, "workersAddress": None, "taskAbortCause": None}
    )

    assert read is not None
    assert (read.workers, read.block_number, read.abort_cause) == (None, 0, Cause.UNKNOWN)
    assert not read.is_for(WALLET)


def test_a_notification_for_all() -> None:
    read = messages.notification(REVEAL | {"workersAddress": []})

    assert read is not None
    assert read.is_for(WALLET)


def test_a_checksummed_address_means_us() -> None:
    read = messages.notification(REVEAL | {"workersAddress": [WALLET.upper().replace("X", "x")]})

    assert read is not None
    assert read.is_for(WALLET)


@pytest.mark.parametrize(
    ("extra", "top", "cause"),
    [
        ("CONSENSUS_REACHED", "UNKNOWN", Cause.CONSENSUS_REACHED),
        (None, "CONTRIBUTION_TIMEOUT", Cause.CONTRIBUTION_TIMEOUT),
        ("CAUSE_OF_TOMORROW", "CAUSE_OF_TOMORROW", Cause.UNKNOWN),
        (7, [], Cause.UNKNOWN),
    ],
)
def test_an_abort_cause_is_read_leniently(extra: object, top: object, cause: Cause) -> None:
    read = messages.notification(
        REVEAL | {"taskNotificationExtra": {"taskAbortCause": extra}, "taskAbortCause": top}
    )

    assert read is not None
    assert read.abort_cause is cause


def test_interrupted_replicates_survive_a_bad_one_among_them() -> None:
    authorized = {"workerpoolAuthorization": AUTHORIZATION, "blockNumber": 0}
    with capture_logs() as logs:
        read = messages.notifications(
            [
                REVEAL | {"taskNotificationExtra": authorized},
                REVEAL | {"taskNotificationType": "PLEASE_DANCE"},
                REVEAL | {"chainTaskId": "\ud800"},
                7,
            ]
        )

    assert len(read) == 1
    assert read[0].authorization is not None
    assert read[0].authorization.chain_task_id == TASK
    assert [line["log_level"] for line in logs] == ["warning"] * 2
    assert logs[1]["number"] == 2
