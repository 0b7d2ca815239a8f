from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.devpool.chain.contracts import category_id
from iexec_worker.devpool.chain.market import params
from iexec_worker.devpool.chain.orders import Purchase
from iexec_worker.model import TaskStatus
from iexec_worker.wire import Action, Status
from tests.devpool.pool.member import DIGEST, Member, archive

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool

pytestmark = [pytest.mark.node, pytest.mark.slow]

LINK = '{ "storage": "ipfs", "location": "%s" }'


async def buy(pool: Pool, *, trust: int = 1, time: int = 60, **terms: object) -> str:
    asked: dict[str, object] = {
        "app": await pool.market.deploy_app("127.0.0.1:5000/app:1.0"),
        "workerpool": pool.chain.pool_address,
        "category": category_id(time),
        "trust": trust,
        "params": params("hello"),
    }
    bought = await pool.market.buy(Purchase(**(asked | terms)))  # type: ignore[arg-type]  # terms of a Purchase
    (task,) = bought.task_ids
    with trio.fail_after(10):
        await pool.task_status(task, "INITIALIZED")
    return task


async def finish(member: Member, task: str, digest: str = DIGEST) -> None:
    await member.work(task)
    await member.contribute(task, digest)
    assert (await member.tell(task, "CONTRIBUTED")).status_code == 200


def sent(pool: Pool, task: str) -> list[tuple[Action, list[str]]]:
    return [(m.action, list(m.workers)) for m in pool.notifications.sent if m.chain_task_id == task]


async def test_a_task_goes_from_the_deal_to_completed(pool: Pool, member: Member) -> None:
    task = await buy(pool)
    offer = await member.ask()
    assert offer.status_code == 200
    assert offer.json()["smsUrl"] is None
    assert member.permit["chainTaskId"] == task

    await member.work(task)
    receipt = {"blockNumber": await member.contribute(task), "txHash": "0x1"}
    contributed = await member.tell(task, "CONTRIBUTED", chainReceipt=receipt)
    assert (contributed.status_code, contributed.json()) == (200, "PLEASE_WAIT")
    # Published before the answer was there.
    assert sent(pool, task) == [(Action.PLEASE_REVEAL, [member.wallet])]
    assert pool.notifications.sent[0].extra is not None
    assert pool.notifications.sent[0].extra.block_number == receipt["blockNumber"]

    assert (await member.upload(task)).status_code == 401
    assert (await member.tell(task, "REVEALING")).json() == "PLEASE_CONTINUE"
    receipt = {"blockNumber": await member.reveal(task), "txHash": "0x2"}
    assert (await member.tell(task, "REVEALED", chainReceipt=receipt)).json() == "PLEASE_WAIT"
    assert sent(pool, task)[-1] == (Action.PLEASE_UPLOAD, [member.wallet])

    await member.tell(task, "RESULT_UPLOADING")
    wrong = await member.upload(task, archive(b"another result"))
    assert (wrong.status_code, wrong.content) == (401, b"")
    early = await member.tell(task, "RESULT_UPLOADED", resultLink=LINK % "/ipfs/x")
    assert (early.status_code, early.json()) == (202, "PLEASE_ABORT")
    uploaded = await member.upload(task)
    assert uploaded.text.startswith("/ipfs/Qm")
    assert len(uploaded.text) == 52
    link = LINK % uploaded.text
    assert (await member.tell(task, "RESULT_UPLOADED", resultLink=link)).json() == "PLEASE_WAIT"
    assert sent(pool, task)[-1] == (Action.PLEASE_COMPLETE, [])

    onchain = await pool.chain.task(task)
    assert onchain is not None
    assert (onchain.status, onchain.results.decode()) == (TaskStatus.COMPLETED, link)
    assert onchain.result_digest == DIGEST
    served = await member.client.get(pool.result_proxy_url + uploaded.text)
    assert hashlib.sha256(served.content).digest() == hashlib.sha256(archive()).digest()
    shown = await member.client.get(f"{pool.result_proxy_url}/v1/results/{task}/ipfshash")
    assert f"/ipfs/{shown.text}" == uploaded.text
    assert (await member.tell(task, "COMPLETING")).json() == "PLEASE_CONTINUE"
    assert (await member.tell(task, "COMPLETED")).json() == "PLEASE_WAIT"
    assert pool.record.statuses(task, member.wallet)[-1] is Status.COMPLETED


async def test_with_trust_3_a_minority_is_told_to_abort(pool: Pool, member: Member) -> None:
    task = await buy(pool, trust=3)
    async with (
        Member.join(pool, 6) as second,
        Member.join(pool, 7) as third,
        Member.join(pool, 8) as fourth,
    ):
        assert (await member.ask()).status_code == 200
        assert (await second.ask()).status_code == 200
        # Two fresh workers are enough for trust 3, if they agree; nobody else is asked.
        assert (await third.ask()).status_code == 204
        await finish(member, task, "0x" + 64 * "1")
        await finish(second, task)
        assert sent(pool, task) == []
        # They did not agree: one against two others would still be too few, so two more come.
        assert (await third.ask()).status_code == 200
        assert (await fourth.ask()).status_code == 200
        await finish(third, task)
        assert sent(pool, task) == []
        await finish(fourth, task)

        assert sent(pool, task) == [
            (Action.PLEASE_REVEAL, [second.wallet, third.wallet, fourth.wallet]),
            (Action.PLEASE_ABORT, [member.wallet]),
        ]


async def test_a_task_nobody_contributes_to_times_out(pool: Pool, member: Member) -> None:
    task = await buy(pool)
    await member.ask()
    await member.tell(task, "STARTING")

    await pool.advance(7 * 60 + 1)
    with trio.fail_after(10):
        await pool.task_status(task, "FAILED")

    (message,) = [m for m in pool.notifications.sent if m.chain_task_id == task]
    assert (message.action, list(message.workers)) == (Action.PLEASE_ABORT, [member.wallet])
    assert message.as_json()["taskAbortCause"] == "CONTRIBUTION_TIMEOUT"
    assert (await member.interrupted()) == []


async def test_a_silent_worker_is_lost_and_may_go_on(pool: Pool, member: Member) -> None:
    task = await buy(pool)
    await member.ask()
    await member.tell(task, "STARTING")

    pool.scheduler.process.memory._alive[member.wallet] -= 61
    with trio.fail_after(10):
        await pool.replicate_status(task, member.wallet, Status.WORKER_LOST)

    assert (await member.tell(task, "STARTED")).json() == "PLEASE_DOWNLOAD_APP"


async def test_a_restart_forgets_tokens_but_no_tasks(pool: Pool, member: Member) -> None:
    task = await buy(pool)
    await member.ask()
    await member.tell(task, "STARTING")
    before = (await member.client.post("/workers/ping")).text

    with trio.fail_after(10):
        await pool.restart_scheduler()

    assert (await member.client.post("/workers/ping")).status_code == 401
    await member.log_in()
    assert (await member.client.post("/workers/ping")).text == before
    (recovered,) = await member.interrupted()
    assert recovered["taskNotificationType"] == "PLEASE_CONTRIBUTE"
    assert recovered["taskAbortCause"] == "UNKNOWN"
    assert recovered["taskNotificationExtra"]["workerpoolAuthorization"] == member.permit
    # RECOVERING: what was told already is known, what was not is taken.
    assert (await member.tell(task, "STARTING")).status_code == 208
    assert (await member.tell(task, "STARTED")).status_code == 200

    await pool.restart_scheduler(same_config=False)
    await member.log_in()
    assert (await member.client.post("/workers/ping")).text != before


async def test_what_a_worker_did_not_tell_is_found_on_chain(pool: Pool, member: Member) -> None:
    task = await buy(pool)
    await member.ask()
    await member.work(task)
    await member.contribute(task)

    await pool.scheduler.process.timers.unnotified_ongoing()
    with trio.fail_after(10):
        await pool.task_status(task, "CONSENSUS_REACHED")
    assert (await member.tell(task, "CONTRIBUTED")).status_code == 208


async def test_the_pool_tells_how_to_join(pool: Pool, member: Member) -> None:
    config = (await member.client.get("/workers/config")).json()
    chain = (await member.client.get(f"{pool.config_server_url}/config/chain")).json()

    assert config == {
        "workerPoolAddress": pool.chain.pool_address,
        "schedulerPublicAddress": pool.chain.owner_address,
        "configServerUrl": pool.config_server_url,
        "resultRepositoryURL": pool.result_proxy_url,
        "askForReplicatePeriod": 100,
        "requiredWorkerVersion": "",
    }
    assert chain == {
        "chainId": 65_535,
        "sidechain": True,
        "chainNodeUrl": pool.node_url,
        "iexecHubContractAddress": pool.chain.hub,
        "blockTime": "PT1S",
    }
    assert pool.chain_json()["chains"]["devpool"]["host"] == pool.node_url
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert (await member.client.post(pool.node_url, json=asked)).json()["result"] == "0xffff"
