from __future__ import annotations

import attrs
import pytest

from iexec_worker.devpool.chain.onchain import Block
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.errors import Unavailable
from iexec_worker.model import TaskStatus
from iexec_worker.wire import Status
from tests.devpool.scheduler.fakes import DEAL, OTHER, TASK, WALLET, Desk

TAG = "0x" + 60 * "0"


async def test_an_offer_makes_a_replicate_and_takes_a_slot(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.INITIALIZED)

    answer = await desk.ask()

    assert answer.json() == {
        "workerpoolAuthorization": {
            "chainTaskId": TASK,
            "dealId": DEAL,
            "taskIndex": 0,
            "workerWallet": WALLET,
            "enclaveChallenge": "0x" + 40 * "0",
            "signature": {"value": "0x" + 130 * "5"},
        },
        "smsUrl": None,
    }
    assert task.replicates[WALLET].current is Status.CREATED
    computing = await desk.client.get("/workers/computing", headers=desk.token())
    assert computing.json() == [TASK]
    # One try per wallet and task.
    again = await desk.ask()
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize("settings", [SchedulerSettings(version="8.6.0", ask_period=0)])
async def test_an_8_6_authorization_has_no_deal(desk: Desk) -> None:
    desk.register()
    desk.add_task(TaskState.INITIALIZED)

    assert "dealId" not in (await desk.ask()).json()["workerpoolAuthorization"]


async def test_no_work_for_strangers_for_block_0_and_without_slots(desk: Desk) -> None:
    task = desk.add_task(TaskState.INITIALIZED)
    assert (await desk.ask()).status_code == 204
    desk.register(cpu_nb=4, gpu_enabled=True)
    desk.scheduler.store.workers[WALLET].computing.append("another")
    assert (await desk.ask()).status_code == 204
    desk.scheduler.store.workers[WALLET].computing.clear()
    assert (await desk.ask(block=0)).status_code == 204
    assert task.replicates == {}
    assert (await desk.ask()).status_code == 200


@pytest.mark.parametrize("settings", [SchedulerSettings(ask_period=30)])
async def test_who_asks_too_often_gets_nothing(desk: Desk) -> None:
    desk.register()
    assert (await desk.ask()).status_code == 204
    desk.add_task(TaskState.INITIALIZED)

    assert (await desk.ask()).status_code == 204
    desk.scheduler.process.memory._asked[WALLET] -= 29.6
    assert (await desk.ask()).status_code == 200


@pytest.mark.parametrize(
    ("tag", "tee", "tdx", "offered"),
    [
        ("0000", False, False, True),
        ("0003", False, False, False),
        ("0005", False, True, False),
        ("0003", True, False, True),
        ("0009", True, False, False),
        ("0009", False, True, True),
        # Only whole tags are compared.
        ("0103", False, False, True),
        ("0100", False, False, True),
    ],
)
async def test_tags_keep_tasks_from_workers_that_lack_them(
    desk: Desk, tag: str, tee: bool, tdx: bool, offered: bool
) -> None:
    desk.register(tee_enabled=tee, tdx_enabled=tdx)
    desk.add_task(TaskState.INITIALIZED, tag=TAG + tag)

    assert (await desk.ask()).status_code == (200 if offered else 204)


async def test_an_aborted_replicate_counts_until_its_period_is_over(desk: Desk) -> None:
    desk.register()
    task = desk.add_task(TaskState.RUNNING)
    desk.add_replicate(task, Status.STARTING, Status.ABORTED, wallet=OTHER)

    assert (await desk.ask()).status_code == 204
    desk.scheduler.store.clock.ahead = 101
    desk.scheduler.process.monitor._latest = Block(1, 2**33)
    assert (await desk.ask()).status_code == 200


async def test_no_offer_after_the_consensus_on_chain(desk: Desk) -> None:
    desk.register()
    desk.add_task(TaskState.RUNNING)
    desk.chain.statuses[TASK] = TaskStatus.REVEALING

    assert (await desk.ask()).status_code == 204


@pytest.mark.parametrize("settings", [SchedulerSettings(sidechain=False, ask_period=0)])
async def test_gas_is_asked_for_where_it_costs(desk: Desk) -> None:
    desk.register()
    desk.add_task(TaskState.INITIALIZED)

    assert (await desk.ask()).status_code == 204
    desk.chain.balances[WALLET] = 22 * 10**15
    assert (await desk.ask()).status_code == 200


@pytest.mark.parametrize(
    ("version", "served"), [("9.3.0", False), ("9.2.0", False), ("9.1.0", True), ("8.6.0", True)]
)
async def test_an_old_block_means_503_since_9_2(desk: Desk, version: str, served: bool) -> None:
    await desk.scheduler.restart(attrs.evolve(desk.scheduler.settings, version=version))
    monitor = desk.scheduler.process.monitor
    assert monitor._latest is not None
    monitor._latest = attrs.evolve(monitor._latest, timestamp=monitor._latest.timestamp - 17)

    answer = await desk.ask()

    assert (answer.status_code, answer.content) == (204 if served else 503, b"")
    assert (await desk.tell("STARTING"))[0] == (202 if served else 503)


@pytest.mark.parametrize("settings", [SchedulerSettings(version="9.1.0")])
async def test_a_node_without_an_answer_means_503(desk: Desk) -> None:
    desk.chain.away = True
    with pytest.raises(Unavailable):
        await desk.chain.latest_block()
    await desk.scheduler.process.monitor.look()

    assert (await desk.ask()).status_code == 503
