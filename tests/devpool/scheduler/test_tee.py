from __future__ import annotations

import pytest

from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from iexec_worker.devpool.scheduler.sms import NoSms
from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.model import ZERO_ADDRESS, ContributionStatus, TaskStatus, TeeFramework
from iexec_worker.wire import Action, Cause, Status
from tests.devpool.scheduler.fakes import CHALLENGE, DEAL, OTHER, TASK, WALLET, Desk, deal

SCONE, GRAMINE, TDX = TeeFramework.SCONE, TeeFramework.GRAMINE, TeeFramework.TDX
ABORT = (202, "PLEASE_ABORT")
WITH_PROXY = SchedulerSettings(ask_period=0, block_time=0.01, result_proxy_url="http://proxy")


def version(text: str) -> SchedulerSettings:
    return SchedulerSettings(version=text, ask_period=0, block_time=0.01)


async def buy(desk: Desk, **terms: object) -> None:
    desk.chain.deals[DEAL] = deal(**terms)
    await desk.scheduler.process.deals.look()


def told(desk: Desk) -> list[tuple[Action, list[str]]]:
    return [(m.action, list(m.workers)) for m in desk.scheduler.notifications.sent]


@pytest.mark.parametrize("settings", [WITH_PROXY])
async def test_a_tee_task_gets_its_challenge_and_its_sms(desk: Desk) -> None:
    desk.sms.urls = {SCONE: "http://scone", GRAMINE: "http://gramine"}
    await buy(desk, tag=tag_of(GRAMINE))
    desk.register(tee_enabled=True)

    offer = (await desk.ask()).json()

    assert offer["smsUrl"] == "http://gramine"
    assert offer["workerpoolAuthorization"]["enclaveChallenge"] == CHALLENGE
    assert desk.sms.told == [("http://gramine", "http://proxy")]


async def test_without_an_sms_or_a_challenge_a_tee_task_fails(desk: Desk) -> None:
    await buy(desk, tag=tag_of(SCONE))
    task = desk.scheduler.store.tasks[TASK]
    assert task.state is TaskState.FAILED
    # Nothing was done on-chain for it.
    assert desk.chain.statuses == {}

    desk.scheduler.store.tasks.clear()
    desk.sms.urls, desk.sms.silent = {SCONE: "http://scone"}, True
    await desk.scheduler.process.deals.look()
    task = desk.scheduler.store.tasks[TASK]
    assert [state for state, _ in task.states][-2:] == [
        TaskState.INITIALIZE_FAILED,
        TaskState.FAILED,
    ]
    assert told(desk) == 2 * [(Action.PLEASE_ABORT, [])]


@pytest.mark.parametrize(("trust", "taken"), [(0, True), (1, True), (2, False)])
async def test_nobody_has_to_agree_with_an_enclave(desk: Desk, trust: int, taken: bool) -> None:
    desk.sms.urls = {SCONE: "http://scone"}
    await buy(desk, tag=tag_of(SCONE), trust=trust)

    assert (TASK in desk.scheduler.store.tasks) is taken


@pytest.mark.parametrize(
    ("settings", "tag", "known"),
    [
        (version("8.6.0"), tag_of(TDX), False),
        (version("9.0.1"), tag_of(TDX), False),
        (version("9.1.0"), tag_of(TDX), True),
        (version("8.6.0"), tag_of(GRAMINE), True),
        (version("9.3.0"), "0x" + 64 * "0", False),
        # A bit that says TEE alone names no framework, nor do two at once.
        (version("9.3.0"), "0x" + 63 * "0" + "1", False),
        (version("9.3.0"), "0x" + 63 * "0" + "7", False),
        (version("9.3.0"), "0x" + 61 * "0" + "103", True),
    ],
)
async def test_which_tags_are_of_tee_tasks_depends_on_the_version(
    desk: Desk, tag: str, known: bool
) -> None:
    desk.sms.urls = dict.fromkeys(TeeFramework, "http://sms")
    await buy(desk, tag=tag)

    task = desk.scheduler.store.tasks[TASK]
    assert task.state is TaskState.INITIALIZED
    assert task.enclave_challenge == (CHALLENGE if known else ZERO_ADDRESS)
    desk.register(tee_enabled=True, tdx_enabled=True)
    desk.add_replicate(task, Status.COMPUTING)
    action = "PLEASE_CONTRIBUTE_AND_FINALIZE" if known else "PLEASE_CONTRIBUTE"
    assert await desk.tell("COMPUTED") == (200, action)


async def test_a_pool_of_standard_tasks_has_no_sms() -> None:
    none = NoSms()

    assert await none.url(SCONE) is None
    assert await none.challenge("http://sms", TASK) is None
    await none.tell_proxy("http://sms", "http://proxy")


async def test_a_finalised_task_needs_chain_and_result(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING, tag=tag_of(SCONE))
    replicate = desk.add_replicate(task, Status.CONTRIBUTE_AND_FINALIZE_ONGOING)

    done = "CONTRIBUTE_AND_FINALIZE_DONE"
    assert await desk.tell(done) == ABORT
    desk.chain.contribute(ContributionStatus.PROVED)
    desk.chain.statuses[TASK] = TaskStatus.COMPLETED
    assert await desk.tell(done) == ABORT
    desk.results.tasks.add(TASK)
    desk.chain.statuses[TASK] = TaskStatus.ACTIVE
    assert await desk.tell(done) == ABORT
    desk.chain.statuses[TASK], desk.chain.results = TaskStatus.COMPLETED, b"on-chain"
    assert await desk.tell(done, resultLink="another") == (200, "PLEASE_WAIT")

    assert replicate.result_link == "on-chain"
    assert task.state is TaskState.COMPLETED
    assert told(desk) == [(Action.PLEASE_COMPLETE, [])]
    assert desk.scheduler.store.workers[WALLET].participating == []


@pytest.mark.parametrize("settings", [version("8.6.0"), version("9.2.1"), version("9.3.0")])
async def test_results_of_tee_tasks_elsewhere_are_believed_by_all_versions(desk: Desk) -> None:
    params = '{"iexec_result_storage_provider": "dropbox"}'
    task = desk.add_task(TaskState.RUNNING, tag=tag_of(SCONE), params=params)
    desk.add_replicate(task, Status.CONTRIBUTE_AND_FINALIZE_ONGOING)
    desk.chain.contribute(ContributionStatus.PROVED)
    desk.chain.statuses[TASK] = TaskStatus.COMPLETED

    assert await desk.tell("CONTRIBUTE_AND_FINALIZE_DONE") == (200, "PLEASE_WAIT")


async def test_two_who_finalised_the_same_task_fail_it(desk: Desk) -> None:
    task = desk.add_task(TaskState.RUNNING, tag=tag_of(SCONE))
    for wallet in (WALLET, OTHER):
        desk.add_replicate(task, Status.CONTRIBUTE_AND_FINALIZE_DONE, wallet=wallet)

    await desk.scheduler.process.timers.consensus()

    assert [state for state, _ in task.states][-2:] == [TaskState.RUNNING_FAILED, TaskState.FAILED]


@pytest.mark.parametrize(
    ("doing", "failure"),
    [
        (Status.STARTING, "START_FAILED"),
        (Status.APP_DOWNLOADING, "APP_DOWNLOAD_FAILED"),
        (Status.DATA_DOWNLOADING, "DATA_DOWNLOAD_FAILED"),
        (Status.COMPUTING, "COMPUTE_FAILED"),
    ],
)
async def test_a_tee_task_that_every_living_worker_failed_is_over(
    desk: Desk, doing: Status, failure: str
) -> None:
    desk.register()
    desk.register(OTHER)
    task = desk.add_task(TaskState.RUNNING, tag=tag_of(SCONE))
    desk.add_replicate(task, doing)
    await desk.tell(failure, cause=Cause.TEE_PREPARATION_FAILED)
    await desk.tell("ABORTED", cause=Cause.UNKNOWN)
    assert task.state is TaskState.RUNNING

    desk.add_replicate(task, doing, wallet=OTHER)
    await desk.tell(failure, wallet=OTHER, cause=Cause.TEE_PREPARATION_FAILED)

    assert [state for state, _ in task.states][-2:] == [TaskState.RUNNING_FAILED, TaskState.FAILED]
    assert told(desk) == [(Action.PLEASE_ABORT, [])]
    assert desk.scheduler.notifications.sent[0].extra is None


async def test_silent_workers_do_not_keep_a_tee_task_alive(desk: Desk) -> None:
    desk.register()
    desk.register(OTHER)
    desk.scheduler.process.memory._alive[OTHER] -= 61
    task = desk.add_task(TaskState.RUNNING, tag=tag_of(SCONE))
    desk.add_replicate(task, Status.COMPUTING)

    await desk.tell("COMPUTE_FAILED", cause=Cause.PRE_COMPUTE_TIMEOUT)

    assert task.state is TaskState.FAILED


async def test_a_standard_task_waits_for_others(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING)
    desk.add_replicate(task, Status.COMPUTING)

    await desk.tell("COMPUTE_FAILED", cause=Cause.APP_COMPUTE_FAILED)

    assert task.state is TaskState.RUNNING


@pytest.mark.parametrize(
    ("history", "often", "filled"),
    [
        ([Status.COMPUTED, Status.CONTRIBUTE_AND_FINALIZE_ONGOING], True, []),
        ([Status.COMPUTED], False, [Status.CONTRIBUTE_AND_FINALIZE_ONGOING]),
        (
            [Status.DATA_DOWNLOADED],
            False,
            [Status.COMPUTING, Status.COMPUTED, Status.CONTRIBUTE_AND_FINALIZE_ONGOING],
        ),
    ],
)
async def test_a_task_that_its_worker_finalised_silently_is_found_on_chain(
    desk: Desk, history: list[Status], often: bool, filled: list[Status]
) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING, tag=tag_of(SCONE))
    replicate = desk.add_replicate(task, *history)
    timers = desk.scheduler.process.timers
    await timers.unnotified()
    assert task.state is TaskState.RUNNING

    desk.chain.contribute(ContributionStatus.PROVED)
    desk.chain.statuses[TASK], desk.chain.results = TaskStatus.COMPLETED, b"link"
    await timers.unnotified_ongoing()
    assert task.state is (TaskState.COMPLETED if often else TaskState.RUNNING)
    await timers.unnotified()

    done = Status.CONTRIBUTE_AND_FINALIZE_DONE
    assert [c.status for c in replicate.history] == [Status.CREATED, *history, *filled, done]
    assert replicate.result_link == "link"
    assert told(desk) == [(Action.PLEASE_COMPLETE, [])]
