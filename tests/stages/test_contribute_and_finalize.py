"""Ending a trusted task: nothing is sent that the hub would refuse, and nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio

from iexec_worker.chain import commitments
from iexec_worker.chain.calls import Kind
from iexec_worker.chain.wallet import Wallet
from iexec_worker.errors import Reverted, StageFailed, Unserved
from iexec_worker.model import ComputedFile, ContributionStatus, TaskStatus
from iexec_worker.stages.contribute import Contribute
from iexec_worker.stages.contribute_and_finalize import ContributeAndFinalize
from iexec_worker.stages.insisting import LOOKS
from iexec_worker.stages.links import Location
from iexec_worker.stages.sending import Sending
from iexec_worker.wire import Cause
from tests import samples
from tests.samples import SCONE, SIGNED, TASK, WALLET
from tests.stages.conftest import DIGEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task
    from tests.stages.conftest import FakeChain

ENCLAVE: Final = Wallet.from_key(64 * "2")

LINK: Final = '{ "storage": "ipfs", "location": "/ipfs/QmHash" }'
DATA: Final = "0xda7a"


def signed(digest: str = DIGEST, key: Wallet = ENCLAVE, worker: str = WALLET) -> ComputedFile:
    signature = key.sign_prefixed(commitments.enclave_hash(worker, TASK, digest))
    return ComputedFile("/iexec_out/a", result_digest=digest, enclave_signature=signature)


@pytest.fixture
def stored() -> list[Location | Exception]:
    """Where the result is; an exception is raised instead."""
    return [Location(LINK)]


@pytest.fixture
def stage(
    chain: FakeChain, conditions: Conditions, task: Task, stored: list[Location | Exception]
) -> ContributeAndFinalize:
    async def find(_task: Task, _computed: ComputedFile) -> Location:
        await trio.lowlevel.checkpoint()
        if isinstance(stored[0], Exception):
            raise stored[0]
        return stored[0]

    chain.stake = 0
    task.describe_as(samples.description(tag=SCONE))
    task.record.authorization = attrs.evolve(
        task.record.authorization, enclave_challenge=ENCLAVE.address
    )
    task.record.computed = signed()
    edges: Any = chain
    found: Any = find
    return ContributeAndFinalize(conditions, edges, Sending(edges, edges), found)


def mined(chain: FakeChain) -> None:
    chain.is_contributed(ContributionStatus.PROVED)
    chain.task = attrs.evolve(chain.task, status=TaskStatus.COMPLETED, results=LINK.encode())


async def cause(stage: ContributeAndFinalize, task: Task) -> Cause:
    with pytest.raises(StageFailed) as caught:
        await stage(task)
    return caught.value.cause


async def test_it_needs_no_stake_and_tells_receipt_and_link(
    stage: ContributeAndFinalize, chain: FakeChain, task: Task
) -> None:
    details = await stage(task)
    assert details.chain_receipt is not None
    assert (
        details.chain_receipt.tx_hash == task.record.transactions[Kind.FINALIZE] == SIGNED.tx_hash
    )
    assert (details.result_link, details.chain_callback_data) == (LINK, None)
    assert (chain.calls, task.record.signed) == ([Kind.FINALIZE], {Kind.FINALIZE: [SIGNED.hex]})
    assert chain.given == {
        "link": LINK.encode(),
        "callback_data": "",
        "enclave_signature": signed().enclave_signature,
    }


async def test_the_data_of_a_callback_is_sent_and_told(
    stage: ContributeAndFinalize,
    chain: FakeChain,
    task: Task,
    stored: list[Location | Exception],
) -> None:
    stored[0] = Location("ethereum", DATA)
    task.record.computed = attrs.evolve(signed(commitments.keccak(b"\xda\x7a")), callback_data=DATA)
    details = await stage(task)
    assert (details.result_link, details.chain_callback_data) == ("ethereum", DATA)
    assert chain.given["callback_data"] == DATA


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0xno", Cause.RESULT_LINK_MISSING),
        ("", Cause.DETERMINISM_HASH_NOT_FOUND),
        (DATA, Cause.DETERMINISM_HASH_NOT_FOUND),
    ],
)
async def test_data_that_the_hub_would_not_take_is_not_sent(
    *,
    stage: ContributeAndFinalize,
    chain: FakeChain,
    task: Task,
    stored: list[Location | Exception],
    data: str,
    expected: Cause,
) -> None:
    stored[0] = Location("ethereum", data)
    assert (await cause(stage, task), chain.calls) == (expected, [])


def unsigned(task: Task, chain: FakeChain) -> None:
    task.record.computed = attrs.evolve(signed(), enclave_signature="")


def signed_by_another(task: Task, chain: FakeChain) -> None:
    task.record.computed = signed(key=Wallet.from_key(64 * "3"))


def signed_for_another_worker(task: Task, chain: FakeChain) -> None:
    task.record.computed = signed(worker=ENCLAVE.address)


def signed_another_result(task: Task, chain: FakeChain) -> None:
    task.record.computed = attrs.evolve(signed(), result_digest="0x" + 64 * "e")


def without_result(task: Task, chain: FakeChain) -> None:
    task.record.computed = None


def of_two_workers(task: Task, chain: FakeChain) -> None:
    task.describe_as(samples.description(tag=SCONE, trust=2, worker_stake=0))


def contributed_by_another(task: Task, chain: FakeChain) -> None:
    chain.task = attrs.evolve(chain.task, contributors=("0xother",))


def over(task: Task, chain: FakeChain) -> None:
    chain.task = attrs.evolve(chain.task, status=TaskStatus.COMPLETED)


@pytest.mark.parametrize(
    ("circumstance", "expected"),
    [
        (unsigned, Cause.ENCLAVE_SIGNATURE_NOT_FOUND),
        (signed_by_another, Cause.ENCLAVE_SIGNATURE_NOT_FOUND),
        (signed_for_another_worker, Cause.ENCLAVE_SIGNATURE_NOT_FOUND),
        (signed_another_result, Cause.ENCLAVE_SIGNATURE_NOT_FOUND),
        (without_result, Cause.DETERMINISM_HASH_NOT_FOUND),
        (of_two_workers, Cause.TRUST_NOT_1),
        (contributed_by_another, Cause.TASK_ALREADY_CONTRIBUTED),
        (over, Cause.TASK_NOT_ACTIVE),
    ],
)
async def test_what_does_not_hold_is_told_and_nothing_sent(
    stage: ContributeAndFinalize,
    chain: FakeChain,
    task: Task,
    circumstance: Callable[[Task, FakeChain], None],
    expected: Cause,
) -> None:
    circumstance(task, chain)
    assert (await cause(stage, task), chain.calls) == (expected, [])


@pytest.mark.parametrize(
    "error", [StageFailed(Cause.RESULT_LINK_MISSING), Unserved("", Cause.RESULT_LINK_MISSING)]
)
async def test_without_a_link_nothing_is_sent(
    *,
    stage: ContributeAndFinalize,
    chain: FakeChain,
    task: Task,
    stored: list[Location | Exception],
    error: Exception,
) -> None:
    stored[0] = error
    with pytest.raises(type(error)):
        await stage(task)
    assert chain.calls == []


async def test_what_an_earlier_life_had_mined_is_success(
    stage: ContributeAndFinalize, chain: FakeChain, task: Task
) -> None:
    mined(chain)
    task.record.transactions[Kind.FINALIZE] = "0xbefore"
    details = await stage(task)
    assert details.chain_receipt is not None
    assert (details.chain_receipt.block_number, chain.calls) == (42, [])
    assert details.result_link == LINK


async def test_what_is_mined_while_the_result_is_looked_for_is_success(
    stage: ContributeAndFinalize, chain: FakeChain, task: Task
) -> None:
    def refused() -> None:
        mined(chain)
        raise Reverted("somebody contributed before")

    chain.on_send = refused
    details = await stage(task)
    assert details.chain_receipt is not None
    assert details.result_link == LINK


async def test_what_was_signed_before_is_gone_on_with_and_not_estimated(
    stage: ContributeAndFinalize, chain: FakeChain, task: Task
) -> None:
    task.record.signed[Kind.FINALIZE] = [SIGNED.hex]
    await stage(task)
    assert (chain.resumed, chain.given) == ([[SIGNED.tx_hash]], {})


async def test_what_was_signed_before_and_is_refused_is_made_anew(
    stage: ContributeAndFinalize, chain: FakeChain, task: Task
) -> None:
    def once() -> None:
        if len(chain.calls) == 1:
            raise Reverted("it used up its gas")

    task.record.signed[Kind.FINALIZE] = [SIGNED.hex]
    chain.on_send = once
    assert (await stage(task)).chain_receipt is not None
    assert chain.given["link"] == LINK.encode()


async def test_a_refusal_that_nothing_explains_is_final_after_some_blocks(
    stage: ContributeAndFinalize, chain: FakeChain, task: Task
) -> None:
    def refuse() -> None:
        raise Reverted("perhaps a signature is not accepted")

    chain.on_send = refuse
    assert await cause(stage, task) is Cause.CHAIN_RECEIPT_NOT_VALID
    assert len(chain.calls) == LOOKS


@pytest.mark.parametrize(
    ("circumstance", "stake", "expected"),
    [
        (None, 5, None),
        (None, 4, Cause.STAKE_TOO_LOW),
        (unsigned, 5, Cause.ENCLAVE_SIGNATURE_NOT_FOUND),
        (signed_by_another, 5, Cause.ENCLAVE_SIGNATURE_NOT_FOUND),
    ],
)
@pytest.mark.usefixtures("stage")
async def test_the_error_of_a_trusted_task_is_contributed_with_stake_and_signature(
    *,
    chain: FakeChain,
    conditions: Conditions,
    task: Task,
    circumstance: Callable[[Task, FakeChain], None] | None,
    stake: int,
    expected: Cause | None,
) -> None:
    chain.stake = stake
    if circumstance is not None:
        circumstance(task, chain)
    edge: Any = chain
    contribute = Contribute(conditions, edge, Sending(edge, edge), WALLET)
    if expected is None:
        assert (await contribute(task)).chain_receipt is not None
        return
    with pytest.raises(StageFailed) as caught:
        await contribute(task)
    assert (caught.value.cause, chain.calls) == (expected, [])
