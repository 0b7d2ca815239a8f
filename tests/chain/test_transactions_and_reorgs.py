"""What was mined is not lost with its block, and no nonce is free because a node forgot it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define

from iexec_worker.chain.transactions.landed import DEEP
from iexec_worker.chain.transactions.writer import Transactions
from iexec_worker.devpool.chain.anvil import Node as Anvil
from iexec_worker.errors import Unavailable
from tests.looking import until

from .test_transactions import GWEI, TASKS, forget, hashes_of, make_bench, pass_on

if TYPE_CHECKING:
    from .conftest import MakeNode
    from .test_transactions import Bench, MakeBench

__all__ = ["make_bench"]

pytestmark = [pytest.mark.node, pytest.mark.slow]


async def forget_blocks(bench: Bench, depth: int) -> None:
    """Reorganise the last *depth* blocks away, and what was in them, mempool included."""
    await bench.chain.rpc.call("anvil_reorg", depth, [])
    await bench.chain.rpc.call("anvil_dropAllTransactions")


async def mined_again(bench: Bench, tx_hash: str) -> None:
    async def there() -> bool:
        return await bench.transactions.mined([tx_hash]) is not None

    await until(there)


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_what_was_mined_is_mined_again_with_the_same_bytes(
    depth: int, make_bench: MakeBench
) -> None:
    async with make_bench() as bench:
        await bench.chain.mine(3)
        seen: list[str] = []
        receipt = await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))
        await bench.chain.mine(depth - 1)

        await forget_blocks(bench, depth)
        await mined_again(bench, receipt.tx_hash)

        assert (seen, await bench.count()) == ([receipt.tx_hash], 1)


async def test_the_next_transaction_gets_no_nonce_that_was_used(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        await bench.chain.mine(3)
        first = await bench.transactions.send(bench.call(), on_signed=forget)
        await forget_blocks(bench, 1)

        second = await bench.transactions.send(bench.call(TASKS[1]), on_signed=forget)

        await mined_again(bench, first.tx_hash)
        assert await bench.transactions.mined([second.tx_hash]) is not None
        assert await bench.count() == 2


async def test_two_that_were_mined_in_a_row_come_back_in_a_row(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        await bench.chain.mine(3)
        hashes: list[str] = []
        for task in TASKS[:3]:
            await bench.transactions.send(bench.call(task), on_signed=hashes_of(hashes))
        await forget_blocks(bench, 3)
        for tx_hash in hashes:
            await mined_again(bench, tx_hash)
        assert (len(hashes), await bench.count()) == (3, 3)


async def test_one_that_comes_back_too_late_to_have_effect_is_not_repeated(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        await bench.chain.mine(3)
        receipt = await bench.transactions.send(bench.call(), on_signed=forget)
        await bench.chain.hold()
        await forget_blocks(bench, 1)
        # Of another wallet, and first in the next block: ours will be reverted.
        rival = {"from": bench.chain.sender(bench.chain.keys[2]).address, "to": bench.hub}
        offer = {**rival, "data": bench.call().data, "gasPrice": hex(50 * GWEI)}
        await bench.chain.rpc.call("eth_sendTransaction", offer)
        await bench.waiting()
        await bench.chain.release()

        # It goes on: what is asked for next is sent.
        await bench.transactions.send(bench.call(TASKS[1]), on_signed=forget)
        assert await bench.transactions.mined([receipt.tx_hash]) is None
        assert await bench.count() == 2


async def test_what_was_under_way_when_the_writer_was_cut_is_followed_though_nobody_asks(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        writer = Transactions(bench.transactions.route, bench.transactions.hub, lambda _: None)
        seen: list[str] = []
        await bench.chain.hold()
        async with trio.open_nursery() as life:
            await life.start(writer.run, bench.node)

            async def cut() -> None:
                await bench.waiting()
                life.cancel_scope.cancel()

            life.start_soon(cut)
            # Whoever asked finds it on-chain, perhaps, and does not ask again.
            with trio.CancelScope(shield=True), pytest.raises(Unavailable, match="stops sending"):
                await writer.send(bench.call(), on_signed=hashes_of(seen))
        await bench.chain.rpc.call("anvil_dropAllTransactions")
        await bench.chain.release()

        await bench.nursery.start(writer.run, bench.node)

        await mined_again(bench, seen[0])
        assert (len(seen), await bench.count()) == (1, 1)


async def test_a_transaction_below_enough_blocks_is_followed_no_more(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        await bench.transactions.send(bench.call(), on_signed=forget)
        followed = bench.transactions._landed._jobs
        assert len(followed) == 1
        await bench.chain.mine(DEEP)

        async def nothing() -> bool:
            return not followed

        await until(nothing)


async def test_a_node_that_forgot_the_mempool_gets_the_same_bytes(make_bench: MakeBench) -> None:
    async with make_bench(block_time=0.3) as bench:
        await bench.chain.hold()
        seen: list[str] = []
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))

            nursery.start_soon(send)
            await bench.waiting()
            await bench.chain.rpc.call("anvil_dropAllTransactions")
            await bench.waiting()
            await bench.chain.release()

        assert (len(seen), await bench.count()) == (1, 1)


@define(eq=False)
class Behind:
    """A node that stays at the block where it was stopped, but takes transactions."""

    chain: Anvil
    stopped_at: str = ""

    async def answer(self, method: str, params: list[Any]) -> object:
        known = params[1:] and params[1] in ("latest", "pending")
        if known and self.stopped_at:
            params = [params[0], self.stopped_at]
        answer = await pass_on(self.chain, method, params)
        if method == "eth_getTransactionReceipt" and answer and self.stopped_at:
            return answer if int(answer["blockNumber"], 16) <= int(self.stopped_at, 16) else None
        return answer


async def test_a_node_that_is_behind_neither_frees_a_nonce_nor_loses_a_transaction(
    chain: Anvil, make_node: MakeNode, make_bench: MakeBench
) -> None:
    behind = Behind(chain)
    async with make_bench(url=(await make_node(behind.answer)).url, block_time=0.3) as bench:
        head = await chain.rpc.call("eth_blockNumber")
        seen: list[str] = []
        first = await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))
        behind.stopped_at = head

        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await bench.transactions.send(bench.call(TASKS[1]), on_signed=hashes_of(seen))

            nursery.start_soon(send)
            # Long enough for a look or two: nothing is signed meanwhile.
            await trio.sleep(1)
            assert seen == [first.tx_hash]
            behind.stopped_at = ""

        assert (len(seen), await bench.count()) == (2, 2)


async def test_a_gap_below_a_waiting_transaction_of_the_wallet_is_filled(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        # With the nonce after the next: it waits in the node for the one before it.
        raw = bench.raw(bench.call(TASKS[1]), nonce=1, price=GWEI)
        await bench.chain.rpc.call("eth_sendRawTransaction", raw)

        await bench.transactions.send(bench.call(), on_signed=forget)
        await bench.transactions.send(bench.call(TASKS[2]), on_signed=forget)

        assert await bench.count() == 3
