"""Contributing: once, and what of ours is on-chain already is success."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iexec_worker.chain.calls import Kind
from iexec_worker.errors import Reverted, StageFailed
from iexec_worker.model import ComputedFile
from iexec_worker.stages.contribute import Contribute
from iexec_worker.stages.insisting import LOOKS
from iexec_worker.stages.sending import Sending
from iexec_worker.wire import Cause
from tests.samples import SIGNED, WALLET
from tests.stages.conftest import DIGEST

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task
    from tests.stages.conftest import FakeChain


@pytest.fixture
def contribute(chain: FakeChain, conditions: Conditions, task: Task) -> Contribute:
    task.record.computed = ComputedFile("/iexec_out/a", result_digest=DIGEST)
    edge: Any = chain
    return Contribute(conditions, edge, Sending(edge, edge), WALLET)


async def test_the_hash_is_remembered_and_the_receipt_told(
    contribute: Contribute, task: Task
) -> None:
    details = await contribute(task)
    assert details.chain_receipt is not None
    assert (
        details.chain_receipt.tx_hash == task.record.transactions[Kind.CONTRIBUTE] == SIGNED.tx_hash
    )
    assert task.record.signed == {Kind.CONTRIBUTE: [SIGNED.hex]}


async def test_our_own_contribution_is_success(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    chain.is_contributed()
    task.record.transactions[Kind.CONTRIBUTE] = "0xbefore"
    details = await contribute(task)
    assert details.chain_receipt is not None
    assert (details.chain_receipt.block_number, chain.calls) == (42, [])


async def test_our_own_contribution_that_was_mined_meanwhile_is_success(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    def mined_by_an_earlier_life() -> None:
        chain.is_contributed()
        raise Reverted("a contribution is there")

    chain.on_send = mined_by_an_earlier_life
    details = await contribute(task)
    assert details.chain_receipt is not None


async def test_a_refusal_names_the_condition_that_failed(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    def refuse() -> None:
        chain.stake = 0
        raise Reverted("no reason given")

    chain.on_send = refuse
    with pytest.raises(StageFailed) as caught:
        await contribute(task)
    assert caught.value.cause is Cause.STAKE_TOO_LOW


async def test_without_a_digest_nothing_is_sent(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    task.record.computed = None
    with pytest.raises(StageFailed) as caught:
        await contribute(task)
    assert (caught.value.cause, chain.calls) == (Cause.DETERMINISM_HASH_NOT_FOUND, [])


async def test_what_was_signed_before_is_gone_on_with(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    task.record.signed[Kind.CONTRIBUTE] = [SIGNED.hex]
    await contribute(task)
    assert (chain.resumed, chain.calls) == ([[SIGNED.tx_hash]], ["contribute"])


async def test_a_refusal_that_nothing_explains_may_be_a_node_behind_and_passes(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    def behind() -> None:
        if chain.head < 103:
            raise Reverted("no reason given")

    chain.on_send = behind
    details = await contribute(task)
    assert details.chain_receipt is not None
    assert chain.calls == 4 * ["contribute"]


async def test_a_refusal_that_nothing_explains_is_final_after_some_blocks(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    def refuse() -> None:
        raise Reverted("perhaps a signature is not accepted")

    chain.on_send = refuse
    with pytest.raises(StageFailed) as caught:
        await contribute(task)
    assert caught.value.cause is Cause.CHAIN_RECEIPT_NOT_VALID
    assert len(chain.calls) == LOOKS


async def test_a_condition_that_fails_while_we_look_again_is_the_cause(
    contribute: Contribute, chain: FakeChain, task: Task
) -> None:
    def refuse() -> None:
        raise Reverted("no reason given")

    def consensus() -> None:
        if chain.head == 103:
            chain.has_consensus()

    chain.on_send, chain.on_block = refuse, consensus
    with pytest.raises(StageFailed) as caught:
        await contribute(task)
    assert caught.value.cause is Cause.TASK_NOT_ACTIVE
