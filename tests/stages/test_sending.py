"""What of a task's transactions is written down, and what the task is said to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from iexec_worker.chain.calls import Kind
from iexec_worker.chain.transactions.writer import Transactions
from iexec_worker.chain.wallet import Wallet
from iexec_worker.stages.sending import Sending, due
from iexec_worker.stages.task import Record, Task
from iexec_worker.tee.model import Service, Services, TeeSession, TeeState
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action, Status
from tests import samples
from tests.samples import SIGNED, TASK, WALLET

if TYPE_CHECKING:
    from iexec_worker.chain.transactions.signed import SignedTx
    from tests.stages.conftest import FakeChain

DEARER = Wallet.from_key(64 * "1").sign_transaction(
    {"nonce": 3, "gasPrice": 9, "gas": 9, "to": WALLET, "value": 0, "data": "0x", "chainId": 1}
)
NEXT = Wallet.from_key(64 * "1").sign_transaction(
    {"nonce": 4, "gasPrice": 7, "gas": 9, "to": WALLET, "value": 0, "data": "0x", "chainId": 1}
)


async def remember(task: Task, *signed: SignedTx) -> None:
    edge: Any = None
    on_signed = Sending(edge, edge)._remembers(task, Kind.CONTRIBUTE)
    for one in signed:
        await on_signed(one)


async def test_all_versions_with_one_nonce_are_kept(task: Task) -> None:
    await remember(task, SIGNED, DEARER, DEARER)
    assert task.record.signed == {Kind.CONTRIBUTE: [SIGNED.hex, DEARER.hex]}
    assert task.record.transactions == {Kind.CONTRIBUTE: DEARER.tx_hash}


async def test_another_nonce_replaces_them(task: Task) -> None:
    await remember(task, SIGNED, DEARER, NEXT)
    assert task.record.signed == {Kind.CONTRIBUTE: [NEXT.hex]}


@pytest.mark.parametrize("over", [True, False])
async def test_a_task_that_is_over_gets_no_new_document(over: bool, task: Task) -> None:
    saved = []

    async def save() -> None:
        await trio.lowlevel.checkpoint()
        saved.append(task.record)

    record = task.record
    record.told = [Status.COMPLETED] if over else []
    await remember(Task(record, task.folder, Node(TASK), save), SIGNED)
    assert bool(saved) is not over


def test_what_is_no_transaction_is_no_record() -> None:
    with pytest.raises(ValueError, match="no signed transaction"):
        Record(samples.authorization(), signed={Kind.REVEAL: ["0xc0ffee"]})


def test_a_transaction_is_read_from_its_bytes() -> None:
    assert type(SIGNED).from_hex(SIGNED.hex) == SIGNED
    assert (SIGNED.nonce, SIGNED.price, SIGNED.gas, SIGNED.to) == (3, 7, 9, WALLET)


@pytest.mark.parametrize(
    ("told", "sent", "reveal", "other"),
    [
        ([], False, 0, 600_000),
        ([Status.CONTRIBUTING], True, 100_000, 500_000),
        ([Status.CONTRIBUTED], True, 100_000, 0),
        ([Status.CONTRIBUTED, Status.REVEALED], True, 0, 0),
    ],
)
def test_a_task_costs_what_it_has_still_to_send(
    told: list[Status], sent: bool, reveal: int, other: int
) -> None:
    record = Record(samples.authorization(), told=told)
    if sent:
        record.transactions[Kind.CONTRIBUTE] = "0x1"
    found = due(record)
    assert (found.reveal, found.other) == (reveal, other)


def test_a_task_that_is_aborted_costs_nothing() -> None:
    assert due(Record(samples.authorization(), action=Action.PLEASE_ABORT)).other == 0


def test_a_task_is_counted_while_it_lives(chain: FakeChain, task: Task) -> None:
    edge: Any = chain
    sending = Sending(Transactions(edge, edge, lambda _: None), edge)
    sending.adopt(task)
    assert sending.transactions.dues.gas == 600_000
    sending.release(task)
    assert sending.transactions.dues.gas == 0


@pytest.mark.parametrize(
    ("told", "other"),
    [([], 1_000_000), ([Status.CONTRIBUTE_AND_FINALIZE_DONE], 0), ([Status.CONTRIBUTED], 0)],
)
def test_a_trusted_task_costs_what_the_transaction_that_ends_it_may_cost(
    told: list[Status], other: int
) -> None:
    service = Service("image:1")
    tee = TeeState(Services(service, service), TeeSession("id", "url"))
    assert due(Record(samples.authorization(), told=told, tee=tee)).other == other


async def test_a_transaction_that_would_end_the_task_may_still_be_mined(
    task: Task, chain: FakeChain
) -> None:
    edge: Any = chain
    sending = Sending(edge, edge)
    assert not await sending.may_contribute(task)
    task.record.signed[Kind.FINALIZE] = [SIGNED.hex]
    assert await sending.may_contribute(task)
