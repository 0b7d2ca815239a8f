"""Whatever nodes and chain do, and however often the process dies: one transaction for one deed."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

import httpx
import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.chain import calls
from iexec_worker.chain.gas import GasRules
from iexec_worker.chain.hub import Hub
from iexec_worker.chain.node.blocks import BlockWatch
from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.chain.transactions.flight import Route
from iexec_worker.chain.transactions.writer import Transactions
from iexec_worker.chain.wallet import Wallet
from iexec_worker.errors import Rejected, Transient
from iexec_worker.model import ZERO_ADDRESS, Authorization
from iexec_worker.supervise import FOREVER, supervise
from iexec_worker.telemetry.tree import Node
from tests.repeatable import repeatable

from .shaky import BAD, BLOCK_TIME, HUB, WORSE, Deed, Shaky, deed_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.chain.calls import Call
    from iexec_worker.chain.transactions.signed import SignedTx

TASKS: Final = tuple("0x" + 64 * digit for digit in "1234")
DIGEST: Final = "0x" + 64 * "d"
DEEDS: Final = {(label, task) for label in ("contribute", "reveal") for task in TASKS}

#: The last ones broke something once: a transaction that was reorganised away after the writer had
#: been cut, and whoever had asked for it had found it on-chain, was given up.
SEEDS: Final = (*range(25), 77, 237)

#: The last one broke something once: a version that paid more was not looked for by all who saw to
#: the transaction, so they took its nonce for lost and made another.
WORSE_SEEDS: Final = (*range(5), 564)

#: Lives of the process, each shorter than what it has to do takes.
LIVES: Final = 5


def call_of(deed: Deed) -> Call:
    label, task = deed
    if label == "reveal":
        return calls.reveal(HUB, task, DIGEST, DIGEST)
    permission = Authorization(task, ZERO_ADDRESS, ZERO_ADDRESS, "0x")
    return calls.contribute(HUB, task, DIGEST, DIGEST, authorization=permission)


@define(eq=False)
class Worker:
    """A worker that does nothing but transactions. *journal* is all that survives its death."""

    chain: Shaky
    random: Random
    #: The longest time between two cuts of the writer, in blocks.
    quiet: float
    wallet: Wallet = field(factory=lambda: Wallet.from_key(64 * "1"))
    journal: dict[Deed, list[SignedTx]] = field(factory=dict)
    told: set[Deed] = field(factory=set)

    async def live(self) -> None:
        """One life; it ends when everything was done, or by cancellation."""
        transport = httpx.MockTransport(self.chain.serve)
        async with httpx.AsyncClient(transport=transport) as client, trio.open_nursery() as nursery:
            provider = NodeProvider(client, self.chain.urls)
            blocks = BlockWatch(provider, BLOCK_TIME, trio.current_time)
            hub = Hub(provider, HUB, self.wallet.address, blocks.next)
            route = Route(provider, self.wallet, blocks, GasRules(1.0, 100), 1, BLOCK_TIME)
            transactions = Transactions(route, hub, lambda _: None)
            for deed, signed in self.journal.items():
                transactions.adopt(call_of(deed), signed, partial(self.write_down, deed))
            await nursery.start(blocks.run, Node("blocks"))
            writer = Node("transactions")
            await nursery.start(supervise, partial(transactions.run, writer), writer, FOREVER)
            nursery.start_soon(self.interrupt, writer)
            async with trio.open_nursery() as tasks:
                for task in TASKS:
                    tasks.start_soon(self.do, transactions, task)
            # What a life has begun, it follows a while.
            while not self.chain.calm or self.chain.state().done != DEEDS:  # noqa: ASYNC110 - the chain sets no event
                await trio.sleep(BLOCK_TIME)
            nursery.cancel_scope.cancel()

    async def interrupt(self, writer: Node) -> None:
        while not self.chain.calm:
            await trio.sleep(self.random.uniform(0, self.quiet * BLOCK_TIME))
            writer.interrupt()

    async def do(self, transactions: Transactions, task: str) -> None:
        for deed in (("contribute", task), ("reveal", task)):
            while deed not in self.told:
                try:
                    await transactions.send(
                        call_of(deed),
                        on_signed=partial(self.write_down, deed),
                        signed=self.journal.get(deed, ()),
                    )
                    self.told.add(deed)
                except (Transient, Rejected):
                    if deed in self.chain.state().done:
                        self.told.add(deed)
                    await trio.sleep(self.random.uniform(1, 10))

    async def write_down(self, deed: Deed, signed: SignedTx) -> None:
        await trio.sleep(self.random.uniform(0, 0.1))
        earlier = [one for one in self.journal.get(deed, ()) if one.nonce == signed.nonce]
        self.journal[deed] = [*earlier, signed]
        await trio.sleep(self.random.uniform(0, 0.1))


def history(seed: int, odds: Mapping[str, float] = BAD, quiet: float = 20) -> Shaky:
    """What became of everything that a worker wanted, which died now and then."""
    with repeatable(seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(_history, Shaky(Random(seed), odds), quiet, clock=clock)


async def _history(chain: Shaky, quiet: float) -> Shaky:
    worker = Worker(chain, chain.random, quiet)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chain.run)
        for _ in range(LIVES):
            with trio.move_on_after(chain.random.uniform(1, 40 * BLOCK_TIME)):
                await worker.live()
        chain.calm = True
        with trio.fail_after(1_000 * BLOCK_TIME):
            await worker.live()
        nursery.cancel_scope.cancel()
    return chain


def nonces(chain: Shaky) -> dict[Deed, set[int]]:
    """The nonces that the transactions for each deed were ever signed with."""
    found = defaultdict(set)
    for tx in chain.seen.values():
        found[deed_of(tx.data)].add(tx.nonce)
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_each_deed_is_done_by_one_transaction(seed: int) -> None:
    check(history(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", WORSE_SEEDS)
def test_each_deed_is_done_by_one_transaction_also_when_it_is_replaced(seed: int) -> None:
    check(history(seed, WORSE, quiet=10))


def check(chain: Shaky) -> None:
    mined = Counter(deed_of(tx.data) for tx, _, _ in chain.state().mined.values())
    assert chain.state().done == DEEDS
    assert mined == Counter(DEEDS), f"{chain.faults}"
    assert [deed for deed, used in nonces(chain).items() if len(used) > 1] == []


@pytest.mark.slow
def test_a_history_is_repeated_exactly_from_its_seed() -> None:
    first, second = history(8), history(8)

    assert (first.blocks, first.faults) == (second.blocks, second.faults)


@pytest.mark.slow
def test_the_histories_have_faults_of_every_kind() -> None:
    faults: Counter[str] = Counter()
    for seed in range(3):
        faults += history(seed).faults
    assert len(faults) == 7
    assert faults.total() > 100
