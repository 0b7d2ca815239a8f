from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from iexec_worker.devpool.chain.hashing import concat_and_hash
from iexec_worker.devpool.chain.market import params, task_id
from iexec_worker.devpool.chain.receiver import deploy_receiver, received
from iexec_worker.errors import Reverted
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, ContributionStatus, TaskStatus

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.sender import Receipt, Sender
    from tests.devpool.conftest import Village

pytestmark = [pytest.mark.node, pytest.mark.slow]

VECTORS: Final = json.loads((Path(__file__).parents[1] / "vectors" / "signatures.json").read_text())
DIGEST: Final = "0x" + 64 * "c"


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


async def contribute(village: Village, worker: Sender, task: str, digest: str) -> Receipt:
    """What a worker does, written once more."""
    hub = village.contracts.hub
    message = concat_and_hash(worker.address, task, ZERO_ADDRESS)
    call = hub.abi.call(
        "contribute",
        raw(task),
        raw(concat_and_hash(task, digest)),
        raw(concat_and_hash(worker.address, task, digest)),
        ZERO_ADDRESS,
        b"",
        raw(village.chain.sign_prefixed(message)),
    )
    return await worker.send(hub.address, call)


async def reveal(village: Village, worker: Sender, task: str, digest: str) -> None:
    hub = village.contracts.hub
    await worker.send(hub.address, hub.abi.call("reveal", raw(task), raw(digest)))


async def test_a_deal_reads_as_it_was_made(village: Village) -> None:
    wanted = params("hello world", input_files=("http://a/b",))
    bought = await village.buy(params=wanted, trust=3, volume=2, tag="0x" + 63 * "0" + "1")

    deal = await village.chain.deal(bought.deal_id)

    assert deal is not None
    assert deal.app.pointer == village.app
    assert deal.workerpool.pointer == village.chain.pool_address
    assert deal.workerpool.owner == village.chain.owner_address
    assert deal.workerpool.price == 1_000
    assert deal.dataset.pointer == ZERO_ADDRESS
    assert (deal.trust, deal.category, deal.bot_first, deal.bot_size) == (3, 7, 0, 2)
    assert deal.tag == "0x" + 63 * "0" + "1"
    assert deal.worker_stake == 300
    assert deal.params == wanted
    assert bought.task_ids == tuple(task_id(bought.deal_id, i) for i in (0, 1))


async def test_what_is_not_there_is_none(village: Village) -> None:
    unknown = "0x" + 64 * "1"

    assert await village.chain.deal(unknown) is None
    assert await village.chain.task(unknown) is None
    assert await village.chain.consensus_block(unknown) is None
    contribution = await village.chain.contribution(unknown, village.worker.address)
    assert contribution.status is ContributionStatus.UNSET
    assert contribution.result_hash == ZERO_HASH


async def test_deals_are_told_once_and_only_those_of_this_pool(village: Village) -> None:
    mine = await village.buy()
    other_pool = await village.market.deploy_workerpool("another")
    await village.buy(workerpool=other_pool)

    deals, following = await village.chain.deals_since(0)
    assert deals == [mine.deal_id]

    again, _ = await village.chain.deals_since(following)
    assert again == []
    next_one = await village.buy()
    deals, _ = await village.chain.deals_since(following)
    assert deals == [next_one.deal_id]


async def test_an_initialized_task_has_its_deadlines(village: Village) -> None:
    bought = await village.buy(volume=2)

    assert await village.chain.initialize(bought.deal_id, 1) == bought.task_ids[1]

    task = await village.chain.task(bought.task_ids[1])
    deal = await village.chain.deal(bought.deal_id)
    assert task is not None
    assert deal is not None
    assert (task.status, task.deal_id, task.index) == (TaskStatus.ACTIVE, bought.deal_id, 1)
    assert task.contribution_deadline == deal.start_time + 7 * 60
    assert task.final_deadline == deal.start_time + 10 * 60
    assert task.reveal_deadline == 0
    assert await village.chain.task(bought.task_ids[0]) is None


async def test_a_task_goes_from_contribution_to_completion(village: Village) -> None:
    bought = await village.buy()
    task_id_ = await village.chain.initialize(bought.deal_id, 0)
    await village.market.deposit(village.worker.address, 300)

    receipt = await contribute(village, village.worker, task_id_, DIGEST)

    assert await village.chain.consensus_block(task_id_) == receipt.block_number
    contribution = await village.chain.contribution(task_id_, village.worker.address)
    assert contribution.status is ContributionStatus.CONTRIBUTED
    assert contribution.result_hash == concat_and_hash(task_id_, DIGEST)

    await reveal(village, village.worker, task_id_, DIGEST)
    await village.chain.finalize(task_id_, b'{ "storage": "ipfs" }', b"")

    task = await village.chain.task(task_id_)
    assert task is not None
    assert task.status is TaskStatus.COMPLETED
    assert task.contributors == (village.worker.address,)
    assert (task.reveal_counter, task.winner_counter) == (1, 1)
    assert task.result_digest == DIGEST
    assert task.results == b'{ "storage": "ipfs" }'


async def test_consensus_of_many_rewards_them(village: Village) -> None:
    bought = await village.buy(trust=3)
    task = await village.chain.initialize(bought.deal_id, 0)
    workers = (village.worker, village.stranger)
    for worker in workers:
        await village.market.deposit(worker.address, 300)
        assert await village.chain.consensus_block(task) is None
        await contribute(village, worker, task, DIGEST)
    assert await village.chain.consensus_block(task) is not None

    for worker in workers:
        await reveal(village, worker, task, DIGEST)
    await village.chain.finalize(task, b"", b"")

    assert [await village.chain.score(worker.address) for worker in workers] == [1, 1]


async def test_a_callback_gets_the_result(village: Village) -> None:
    receiver = await deploy_receiver(village.stranger)
    bought = await village.buy(callback=receiver, volume=2)
    task = await village.chain.initialize(bought.deal_id, 0)
    await village.market.deposit(village.worker.address, 300)
    data = bytes(range(256)) * 4
    digest = concat_and_hash("0x" + data.hex())
    await contribute(village, village.worker, task, digest)
    await reveal(village, village.worker, task, digest)
    assert await received(village.node.rpc, receiver, task) is None

    await village.chain.finalize(task, b"", data)

    seen = await village.chain.task(task)
    assert seen is not None
    assert seen.results_callback == data
    assert await received(village.node.rpc, receiver, task) == data
    assert await received(village.node.rpc, receiver, bought.task_ids[1]) is None


async def test_the_contracts_refuse_what_is_too_early(village: Village) -> None:
    bought = await village.buy()
    await village.chain.initialize(bought.deal_id, 0)

    with pytest.raises(Reverted):
        await village.chain.finalize(bought.task_ids[0], b"", b"")
    with pytest.raises(Reverted):
        await village.chain.initialize(bought.deal_id, 0)


async def test_a_stake_too_low_is_refused_with_the_contracts_words(village: Village) -> None:
    bought = await village.buy()
    task = await village.chain.initialize(bought.deal_id, 0)

    with pytest.raises(Reverted, match="IexecEscrow: Transfer amount exceeds balance"):
        await contribute(village, village.worker, task, DIGEST)


async def test_the_owner_signs_as_the_protocol_has_it(village: Village) -> None:
    vector = VECTORS["workerpool_authorization"]
    signer = village.node.sender(VECTORS["key"])

    assert signer.address == VECTORS["address"]
    assert signer.sign_prefixed(vector["hash"]) == vector["signature_prefixed"]
