from __future__ import annotations

import pytest

from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Status
from tests.devpool.scheduler.fakes import OTHER, TASK, WALLET, Desk

ABORT = (202, "PLEASE_ABORT")
EIGHT = pytest.mark.parametrize(
    "settings", [SchedulerSettings(version="8.6.0", block_time=0.01, ask_period=0)]
)
NO_PROVIDER = {"params": "{}"}


async def test_an_unknown_replicate_is_told_to_abort(desk: Desk) -> None:
    desk.add_task(TaskState.RUNNING)

    assert await desk.tell("STARTING") == ABORT
    assert await desk.tell("STARTING", task="0x1") == ABORT


async def test_what_is_known_is_208_and_what_does_not_follow_is_202(desk: Desk) -> None:
    task = desk.add_task(TaskState.INITIALIZED)
    desk.add_replicate(task)

    assert await desk.tell("STARTING") == (200, "PLEASE_CONTINUE")
    assert await desk.tell("STARTING") == (208, "PLEASE_WAIT")
    assert await desk.tell("COMPUTING") == ABORT
    assert await desk.tell("STARTED") == (200, "PLEASE_DOWNLOAD_APP")
    assert task.state is TaskState.RUNNING
    assert await desk.tell("ABORTED", cause="UNKNOWN") == (200, None)
    assert await desk.tell("ABORTED", cause="UNKNOWN") == (208, "PLEASE_WAIT")
    told = desk.scheduler.record.updates(TASK, WALLET)
    assert [t.code for t in told] == [200, 208, 202, 200, 200, 208]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"status": "DANCING"}',
        b'{"details": {}}',
        b'{"status": "STARTING", "modifier": "NOBODY"}',
        b'{"status": "STARTING", "details": {"cause": "TIRED"}}',
        b'{"status": "STARTING", "details": {"exitCode": "x"}}',
    ],
)
async def test_what_jackson_cannot_read_is_400(desk: Desk, body: bytes) -> None:
    task = desk.add_task(TaskState.INITIALIZED)
    desk.add_replicate(task)

    url = f"/replicates/{TASK}/updateStatus"
    answer = await desk.client.post(url, content=body, headers=desk.token())

    assert answer.status_code == 400
    assert answer.json()["error"] == "Bad Request"


async def test_unknown_fields_do_not_matter(desk: Desk) -> None:
    desk.add_replicate(desk.add_task(TaskState.INITIALIZED))

    assert (await desk.tell("STARTING", mood="good", date=5))[0] == 200


@EIGHT
async def test_an_8_6_scheduler_does_not_know_the_newer_causes(desk: Desk) -> None:
    task = desk.add_task(TaskState.RUNNING)
    desk.add_replicate(task, Status.COMPUTING)

    newer = await desk.tell("COMPUTE_FAILED", cause="PRE_COMPUTE_WORKER_ADDRESS_MISSING")
    assert newer[0] == 400
    assert (await desk.tell("COMPUTE_FAILED", cause="UNKNOWN")) == (200, "PLEASE_ABORT")


@pytest.mark.parametrize(
    ("status", "cause", "action"),
    [
        ("APP_DOWNLOAD_FAILED", "APP_IMAGE_DOWNLOAD_FAILED", "PLEASE_CONTRIBUTE"),
        ("APP_DOWNLOAD_FAILED", "UNKNOWN", "PLEASE_ABORT"),
        ("APP_DOWNLOAD_FAILED", None, "PLEASE_ABORT"),
        ("DATA_DOWNLOAD_FAILED", "DATASET_FILE_BAD_CHECKSUM", "PLEASE_CONTRIBUTE"),
        ("DATA_DOWNLOAD_FAILED", "INPUT_FILES_DOWNLOAD_FAILED", "PLEASE_CONTRIBUTE"),
        ("DATA_DOWNLOAD_FAILED", "TASK_NOT_ACTIVE", "PLEASE_ABORT"),
        ("COMPUTE_FAILED", "APP_COMPUTE_FAILED", "PLEASE_ABORT"),
    ],
)
async def test_some_failures_become_the_result_and_all_free_the_slot(
    desk: Desk, status: str, cause: str | None, action: str
) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING)
    doing = {"A": Status.APP_DOWNLOADING, "D": Status.DATA_DOWNLOADING, "C": Status.COMPUTING}
    desk.add_replicate(task, doing[status[0]])

    assert await desk.tell(status, cause=cause) == (200, action)
    assert desk.scheduler.store.workers[WALLET].computing == []
    assert desk.scheduler.store.workers[WALLET].participating == [TASK]


async def test_a_failed_contribution_is_never_recorded(desk: Desk) -> None:
    task = desk.add_task(TaskState.RUNNING)
    replicate = desk.add_replicate(task, Status.CONTRIBUTING)

    assert await desk.tell("CONTRIBUTE_FAILED", cause="UNKNOWN") == ABORT
    assert replicate.current is Status.CONTRIBUTING


async def test_logs_keep_their_end(desk: Desk) -> None:
    task = desk.add_task(TaskState.RUNNING)
    replicate = desk.add_replicate(task, Status.COMPUTING)

    logs = {"stdout": "a" + 100_000 * "b", "stderr": ""}
    assert await desk.tell("COMPUTED", computeLogs=logs) == (200, "PLEASE_CONTRIBUTE")
    assert replicate.logs == (100_000 * "b", "")


async def test_trust_1_and_a_framework_mean_contribute_and_finalize(desk: Desk) -> None:
    task = desk.add_task(TaskState.RUNNING, tag="0x" + 63 * "0" + "3")
    desk.add_replicate(task, Status.COMPUTING)

    assert await desk.tell("COMPUTED") == (200, "PLEASE_CONTRIBUTE_AND_FINALIZE")


async def test_a_contribution_the_chain_does_not_show_is_refused(desk: Desk) -> None:
    task = desk.add_task(TaskState.RUNNING)
    replicate = desk.add_replicate(task, Status.CONTRIBUTING)

    assert await desk.tell("CONTRIBUTED") == ABORT
    desk.chain.contribute(ContributionStatus.CONTRIBUTED)
    assert await desk.tell("CONTRIBUTED", chainReceipt={"blockNumber": 3}) == (200, "PLEASE_WAIT")
    assert replicate.contribution_hash == desk.chain.contributions[(TASK, WALLET)].result_hash


async def test_reveals_uploads_and_the_end_follow_each_other(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING)
    desk.add_replicate(task, Status.CONTRIBUTING)
    desk.chain.contribute(ContributionStatus.CONTRIBUTED)
    desk.chain.statuses[TASK] = TaskStatus.REVEALING
    await desk.tell("CONTRIBUTED")
    assert task.consensus_block == 7
    await desk.tell("REVEALING")
    assert await desk.tell("REVEALED") == ABORT
    desk.chain.contribute(ContributionStatus.PROVED)
    desk.chain.revealed = 1
    assert await desk.tell("REVEALED") == (200, "PLEASE_WAIT")
    assert task.replicates[WALLET].current is Status.RESULT_UPLOAD_REQUESTED
    await desk.tell("RESULT_UPLOADING")
    assert await desk.tell("RESULT_UPLOADED", resultLink="link") == ABORT
    desk.results.tasks.add(TASK)
    assert await desk.tell("RESULT_UPLOADED") == ABORT
    assert await desk.tell("RESULT_UPLOADED", resultLink="link") == (200, "PLEASE_WAIT")

    assert desk.chain.finalized == [(TASK, b"link", b"")]
    assert task.state is TaskState.COMPLETED
    assert desk.scheduler.store.workers[WALLET].participating == []
    assert (await desk.tell("COMPLETING"))[0] == 200


async def test_a_callback_task_needs_its_data(desk: Desk) -> None:
    task = desk.add_task(TaskState.RESULT_UPLOADING, callback=OTHER)
    desk.add_replicate(task, Status.REVEALED, Status.RESULT_UPLOADING)
    desk.chain.statuses[TASK] = TaskStatus.REVEALING
    desk.chain.revealed = 1

    assert await desk.tell("RESULT_UPLOADED", resultLink="link") == ABORT
    assert (await desk.tell("RESULT_UPLOADED", resultLink="l", chainCallbackData="0x1234"))[
        0
    ] == 200
    assert desk.chain.finalized == [(TASK, b"l", b"\x12\x34")]


async def test_without_a_provider_a_failed_upload_is_refused(desk: Desk) -> None:
    task = desk.add_task(TaskState.RESULT_UPLOADING, **NO_PROVIDER)
    desk.add_replicate(task, Status.RESULT_UPLOADING)

    assert await desk.tell("RESULT_UPLOAD_FAILED", cause="RESULT_LINK_MISSING") == ABORT


@EIGHT
async def test_without_a_provider_8_6_records_a_failed_upload(desk: Desk) -> None:
    task = desk.add_task(TaskState.RESULT_UPLOADING, **NO_PROVIDER)
    desk.add_replicate(task, Status.RESULT_UPLOADING)

    told = await desk.tell("RESULT_UPLOAD_FAILED", cause="RESULT_LINK_MISSING")
    assert told == (200, "PLEASE_ABORT")


@pytest.mark.parametrize(
    "settings", [SchedulerSettings(answer_last=0, block_time=0.01, ask_period=0)]
)
async def test_the_answer_may_also_come_first(desk: Desk) -> None:
    task = desk.add_task(TaskState.INITIALIZED)
    desk.add_replicate(task, Status.STARTING)

    assert await desk.tell("STARTED") == (200, "PLEASE_DOWNLOAD_APP")
    await desk.scheduler.task_status(TASK, TaskState.RUNNING)
