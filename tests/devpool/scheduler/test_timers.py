from __future__ import annotations

from iexec_worker.devpool.scheduler import liveness
from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Action, Status
from tests.devpool.scheduler.fakes import DEAL, OTHER, TASK, WALLET, Desk, deal


async def test_a_stuck_upload_is_given_to_another(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RESULT_UPLOADING)
    stuck = desk.add_replicate(task, Status.REVEALED, Status.RESULT_UPLOADING)
    other = desk.add_replicate(task, Status.REVEALED, wallet=OTHER)
    timers = desk.scheduler.process.timers

    await timers.uploads()
    assert not stuck.ever(Status.RESULT_UPLOAD_FAILED)
    desk.scheduler.store.clock.ahead = 121
    await timers.uploads()

    assert stuck.current is Status.RESULT_UPLOAD_FAILED
    assert other.current is Status.RESULT_UPLOAD_REQUESTED
    message = desk.scheduler.notifications.sent[-1]
    assert (message.action, message.workers) == (Action.PLEASE_UPLOAD, (OTHER,))


async def test_who_does_not_reveal_fails_and_the_task_waits_for_its_end(desk: Desk) -> None:
    task = desk.add_task(TaskState.CONSENSUS_REACHED)
    task.reveal_deadline = 1
    replicate = desk.add_replicate(task, Status.CONTRIBUTED)

    await desk.scheduler.process.timers.reveal_deadlines()

    assert replicate.current is Status.FAILED
    assert task.state is TaskState.CONSENSUS_REACHED
    assert desk.scheduler.notifications.sent == []


async def test_the_final_deadline_ends_everything(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.CONSENSUS_REACHED)
    desk.add_replicate(task, Status.CONTRIBUTED)
    desk.scheduler.store.clock.ahead = 1001

    await desk.scheduler.process.timers.final_deadlines()

    assert [s for s, _ in task.states][-2:] == [
        TaskState.FINAL_DEADLINE_REACHED,
        TaskState.FAILED,
    ]
    (message,) = desk.scheduler.notifications.sent
    assert (message.action, message.workers, message.extra) == (Action.PLEASE_ABORT, (), None)
    assert desk.scheduler.store.workers[WALLET].participating == []


async def test_a_reveal_nobody_told_of_is_filled_in(desk: Desk) -> None:
    task = desk.add_task(TaskState.CONSENSUS_REACHED)
    replicate = desk.add_replicate(task, Status.CONTRIBUTED)
    desk.chain.contribute(ContributionStatus.PROVED)

    await desk.scheduler.process.timers.unnotified()

    assert [c.status for c in replicate.history[-3:]] == [
        Status.REVEALING,
        Status.REVEALED,
        Status.RESULT_UPLOAD_REQUESTED,
    ]
    assert not replicate.history[-1].by_worker


async def test_workers_of_another_process_are_never_lost(desk: Desk) -> None:
    process = desk.scheduler.process
    desk.register()
    replicate = desk.add_replicate(desk.add_task(TaskState.RUNNING), Status.STARTING)

    process.memory._alive[WALLET] -= 61
    liveness.declare_lost(desk.scheduler.store, process.memory)
    liveness.declare_lost(desk.scheduler.store, process.memory)
    assert [c.status for c in replicate.history].count(Status.WORKER_LOST) == 1

    await desk.scheduler.restart()
    assert desk.scheduler.process.memory.lost() == []


async def test_a_task_already_finalised_on_chain_completes(desk: Desk) -> None:
    task = desk.add_task(TaskState.RESULT_UPLOADED)
    desk.chain.statuses[TASK] = TaskStatus.COMPLETED

    await desk.scheduler.process.timers.finalisations()

    assert task.state is TaskState.COMPLETED


async def test_a_deal_becomes_its_tasks_once(desk: Desk) -> None:
    desk.chain.deals[DEAL] = deal(bot_first=3, bot_size=2)

    await desk.scheduler.process.deals.look()
    await desk.scheduler.process.deals.look()

    tasks = desk.scheduler.store.tasks.values()
    assert [(t.index, t.state) for t in tasks] == [
        (3, TaskState.INITIALIZED),
        (4, TaskState.INITIALIZED),
    ]


async def test_a_deal_too_late_is_skipped_and_a_tee_deal_fails(desk: Desk) -> None:
    deals = desk.scheduler.process.deals
    desk.chain.deals[DEAL] = deal(start_time=1)
    await deals.look()
    assert desk.scheduler.store.tasks == {}

    desk.chain.deals[DEAL] = deal(tag="0x" + 63 * "0" + "3")
    await deals.look()
    (task,) = desk.scheduler.store.tasks.values()
    assert task.state is TaskState.FAILED
