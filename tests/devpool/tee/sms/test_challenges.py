from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from eth_account import Account

from iexec_worker.model import ZERO_HASH, TaskStatus
from tests.devpool.tee.sms.desk import STRANGER, TASK, WORKER

if TYPE_CHECKING:
    from tests.devpool.tee.sms.desk import Desk


async def test_the_scheduler_gets_the_address_of_the_tasks_key(desk: Desk) -> None:
    first = await desk.ask_challenge()
    again = await desk.ask_challenge()

    assert (first.status_code, again.text) == (200, first.text)
    assert Account.from_key(desk.sms.enclave_key(TASK)).address.lower() == first.text


async def test_nobody_else_gets_it(desk: Desk) -> None:
    for account in (STRANGER, WORKER):
        answer = await desk.ask_challenge(account)
        assert (answer.status_code, answer.content) == (401, b"")
    assert (await desk.client.post(f"/tee/challenges/{TASK}")).status_code == 400
    with pytest.raises(KeyError):
        desk.sms.enclave_key(TASK)


@pytest.mark.parametrize("task", ["0x" + 64 * "9", "0x12"])
async def test_a_task_that_is_not_there_has_none(desk: Desk, task: str) -> None:
    assert (await desk.ask_challenge(task=task)).status_code == 401


async def test_a_word_instead_of_a_task_has_none(desk: Desk) -> None:
    header = {"Authorization": "0x" + 130 * "1"}
    answer = await desk.client.post("/tee/challenges/word", headers=header)
    assert answer.status_code == 401


async def test_a_task_that_is_over_and_a_standard_one_have_none(desk: Desk) -> None:
    desk.chain.status = TaskStatus.COMPLETED
    assert (await desk.ask_challenge()).status_code == 401
    desk.chain.status = TaskStatus.ACTIVE
    desk.agree(tag=ZERO_HASH)
    assert (await desk.ask_challenge()).status_code == 401


async def test_who_forgets_makes_another_key(desk: Desk) -> None:
    first = await desk.ask_challenge()
    desk.sms.forget()

    assert (await desk.ask_challenge()).text != first.text
