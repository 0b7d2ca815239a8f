from __future__ import annotations

from typing import Any

import pytest

from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.model import ZERO_ADDRESS, ContributionStatus, TaskStatus
from iexec_worker.wire import Status
from tests.devpool.scheduler.fakes import CHALLENGE, TASK, WALLET, Desk

UNSET = ContributionStatus.UNSET
CONTRIBUTED = ContributionStatus.CONTRIBUTED
PROVED = ContributionStatus.PROVED

TABLE = [
    (TaskState.INITIALIZED, [Status.STARTING], UNSET, "PLEASE_CONTRIBUTE"),
    (TaskState.RUNNING, [Status.COMPUTED], UNSET, "PLEASE_CONTRIBUTE"),
    (TaskState.RUNNING, [Status.COMPUTED, Status.WORKER_LOST], UNSET, "PLEASE_CONTRIBUTE"),
    (TaskState.RUNNING, [Status.CONTRIBUTING], UNSET, "PLEASE_CONTRIBUTE"),
    (TaskState.RUNNING, [Status.CONTRIBUTING], CONTRIBUTED, "PLEASE_WAIT"),
    (TaskState.RUNNING, [Status.CONTRIBUTING, Status.CONTRIBUTED], CONTRIBUTED, "PLEASE_WAIT"),
    (TaskState.RUNNING, [Status.ABORTED], UNSET, None),
    (TaskState.CONTRIBUTION_TIMEOUT, [Status.COMPUTING], UNSET, "PLEASE_ABORT"),
    (TaskState.CONSENSUS_REACHED, [Status.COMPUTING], UNSET, "PLEASE_ABORT"),
    (TaskState.CONSENSUS_REACHED, [Status.CONTRIBUTED], CONTRIBUTED, "PLEASE_REVEAL"),
    (
        TaskState.CONSENSUS_REACHED,
        [Status.CONTRIBUTED, Status.REVEALING],
        CONTRIBUTED,
        "PLEASE_REVEAL",
    ),
    # Marked as revealed, it is then the one that is asked for the result.
    (TaskState.CONSENSUS_REACHED, [Status.CONTRIBUTED, Status.REVEALING], PROVED, "PLEASE_UPLOAD"),
    (TaskState.AT_LEAST_ONE_REVEALED, [Status.CONTRIBUTED, Status.REVEALED], PROVED, "PLEASE_WAIT"),
    (
        TaskState.RESULT_UPLOADED,
        [Status.CONTRIBUTED, Status.RESULT_UPLOAD_REQUESTED],
        PROVED,
        "PLEASE_UPLOAD",
    ),
    (
        TaskState.RESULT_UPLOADING,
        [Status.REVEALED, Status.RESULT_UPLOAD_REQUESTED],
        PROVED,
        "PLEASE_UPLOAD",
    ),
    (
        TaskState.RESULT_UPLOADING,
        [Status.REVEALED, Status.RESULT_UPLOADING],
        PROVED,
        "PLEASE_UPLOAD",
    ),
    (TaskState.RESULT_UPLOADING, [Status.REVEALED, Status.RESULT_UPLOADED], PROVED, "PLEASE_WAIT"),
    (TaskState.RESULT_UPLOADING, [Status.CONTRIBUTED], CONTRIBUTED, None),
    (TaskState.RESULT_UPLOADING, [Status.CONTRIBUTED, Status.REVEALED], PROVED, None),
    (TaskState.FINALIZING, [Status.REVEALED, Status.RESULT_UPLOADED], PROVED, "PLEASE_WAIT"),
    (TaskState.COMPLETED, [Status.REVEALED, Status.RESULT_UPLOADED], PROVED, "PLEASE_COMPLETE"),
    (TaskState.COMPLETED, [Status.CONTRIBUTED], CONTRIBUTED, None),
    (TaskState.FAILED, [Status.COMPUTING], UNSET, None),
]


@pytest.mark.parametrize(("state", "history", "onchain", "action"), TABLE)
async def test_the_answer_follows_from_task_replicate_and_chain(
    desk: Desk,
    state: TaskState,
    history: list[Status],
    onchain: ContributionStatus,
    action: str | None,
) -> None:
    desk.register()
    task = desk.add_task(state)
    desk.add_replicate(task, *history)
    desk.chain.contribute(onchain)

    found = await desk.interrupted()

    assert [each["taskNotificationType"] for each in found] == ([action] if action else [])
    if action:
        assert found[0]["workersAddress"] == [WALLET]
        assert found[0]["taskNotificationExtra"]["smsUrl"] is None  # type: ignore[index]  # JSON


TEE = "0x" + 63 * "0" + "3"


@pytest.mark.parametrize(
    ("state", "history", "action"),
    [
        (TaskState.INITIALIZED, [Status.STARTING], "PLEASE_CONTRIBUTE"),
        (TaskState.RUNNING, [Status.COMPUTED], "PLEASE_CONTRIBUTE"),
        (TaskState.RUNNING, [Status.COMPUTED, Status.CONTRIBUTE_AND_FINALIZE_ONGOING], None),
        (TaskState.RUNNING, [Status.CONTRIBUTE_AND_FINALIZE_FAILED], None),
        (TaskState.RUNNING, [Status.CONTRIBUTE_AND_FINALIZE_DONE], None),
        (TaskState.COMPLETED, [Status.CONTRIBUTE_AND_FINALIZE_DONE], None),
    ],
)
async def test_a_tee_worker_is_told_less(
    desk: Desk, state: TaskState, history: list[Status], action: str | None
) -> None:
    desk.register()
    task = desk.add_task(state, tag=TEE)
    task.sms_url = "http://sms"
    desk.add_replicate(task, *history)

    found = await desk.interrupted()

    assert [each["taskNotificationType"] for each in found] == ([action] if action else [])
    if action:
        extra: dict[str, Any] = found[0]["taskNotificationExtra"]  # type: ignore[assignment]  # JSON
        assert extra["workerpoolAuthorization"]["enclaveChallenge"] == CHALLENGE
        # Where the SMS is, a worker has to remember itself.
        assert extra["smsUrl"] is None


async def test_a_tee_task_without_its_challenge_is_not_listed(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING, tag=TEE)
    task.enclave_challenge = ZERO_ADDRESS
    replicate = desk.add_replicate(task, Status.STARTING)

    assert await desk.interrupted() == []
    assert not replicate.ever(Status.RECOVERING)


async def test_a_listed_replicate_is_recovering_once(desk: Desk) -> None:
    desk.register()
    replicate = desk.add_replicate(desk.add_task(TaskState.RUNNING), Status.STARTING)

    await desk.interrupted()
    await desk.interrupted()

    assert [c.status for c in replicate.history] == [
        Status.CREATED,
        Status.STARTING,
        Status.RECOVERING,
    ]


async def test_a_consensus_on_chain_is_noticed(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING)
    desk.add_replicate(task, Status.CONTRIBUTING)
    desk.chain.contribute(CONTRIBUTED)
    desk.chain.statuses[TASK] = TaskStatus.REVEALING

    (found,) = await desk.interrupted()

    assert found["taskNotificationType"] == "PLEASE_REVEAL"
    assert found["taskNotificationExtra"]["blockNumber"] == 7  # type: ignore[index]  # JSON
    assert task.state is TaskState.CONSENSUS_REACHED


async def test_the_cause_of_an_abort_is_told_twice(desk: Desk) -> None:
    desk.register()
    desk.add_replicate(desk.add_task(TaskState.CONSENSUS_REACHED), Status.COMPUTING)

    (found,) = await desk.interrupted()

    assert found["taskAbortCause"] == "CONSENSUS_REACHED"
    assert found["taskNotificationExtra"]["taskAbortCause"] == "CONSENSUS_REACHED"  # type: ignore[index]  # JSON


async def test_a_result_that_is_there_counts_as_uploaded(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RESULT_UPLOADING)
    replicate = desk.add_replicate(task, Status.REVEALED, Status.RESULT_UPLOADING)
    desk.results.tasks.add(TASK)

    (found,) = await desk.interrupted()

    assert found["taskNotificationType"] == "PLEASE_WAIT"
    assert replicate.ever(Status.RESULT_UPLOADED)
