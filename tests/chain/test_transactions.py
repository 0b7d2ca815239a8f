"""The writer against a real node, with a small contract that keeps the hub's promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.chain.calls import Call, Kind
from iexec_worker.chain.gas import GasRules
from iexec_worker.chain.hub import Hub
from iexec_worker.chain.node.blocks import BlockWatch
from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.chain.transactions.dues import Due
from iexec_worker.chain.transactions.flight import Route
from iexec_worker.chain.transactions.writer import Transactions
from iexec_worker.chain.wallet import Wallet
from iexec_worker.devpool.chain.anvil import Node as Anvil
from iexec_worker.devpool.chain.contracts import deploy
from iexec_worker.errors import OutOfGas, Reverted, Unavailable
from iexec_worker.telemetry.tree import Node
from tests.looking import until

from .conftest import FakeNode, HangUp, MakeNode, RpcError

if TYPE_CHECKING:
    from iexec_worker.chain.transactions.queue import OnSigned
    from iexec_worker.chain.transactions.signed import SignedTx
    from iexec_worker.devpool.tools import Tools
    from iexec_worker.model import ChainReceipt

pytestmark = [pytest.mark.node, pytest.mark.slow]

GWEI: Final = 10**9
TASKS: Final = tuple(f"0x{number:064x}" for number in range(1, 9))

# task, topic = calldata[4:36], calldata[36:68]
# if storage[task]: revert; storage[task] = 1; log(topic, task)
RUNTIME: Final = bytes.fromhex("6004358054601557600181556024" + "3560006000a2005b60006000fd")
CREATION: Final = bytes.fromhex(f"60{len(RUNTIME):02x}8060093d393df3") + RUNTIME


def hashes_of(seen: list[str]) -> OnSigned:
    async def on_signed(signed: SignedTx) -> None:
        seen.append(signed.tx_hash)

    return on_signed


async def forget(signed: SignedTx) -> None:
    pass


@define(eq=False)
class Bench:
    """A writer with a wallet of its own on a chain, and the nursery it runs in."""

    chain: Anvil
    wallet: Wallet
    hub: str
    transactions: Transactions
    nursery: trio.Nursery
    outcomes: list[bool]
    node: Node = field(factory=lambda: Node("transactions"))

    def call(
        self, task: str = TASKS[0], to: str | None = None, kind: Kind = Kind.CONTRIBUTE
    ) -> Call:
        """What only the first caller may do for a task."""
        data = "0x34623484" + task[2:] + kind.event_topic[2:]
        return Call(to or self.hub, data, 100_000, task, kind)

    async def count(self, block: str = "latest") -> int:
        answer = await self.chain.rpc.call("eth_getTransactionCount", self.wallet.address, block)
        return int(answer, 16)

    async def waiting(self, number: int = 1) -> None:
        """Until *number* transactions of the wallet are known to the node, mined or not."""

        async def seen() -> bool:
            return await self.count("pending") >= number

        await until(seen)

    async def release_with(self, tx_hash: str) -> None:
        """Let the chain mine again once the node has this transaction."""

        async def there() -> bool:
            return bool(await self.chain.rpc.call("eth_getTransactionByHash", tx_hash))

        await until(there)
        await self.chain.release()

    def raw(self, call: Call, *, nonce: int, price: int) -> str:
        """A transaction of our wallet that the writer knows nothing of."""
        return self.signed(call, nonce=nonce, price=price).hex

    def signed(self, call: Call, *, nonce: int, price: int) -> SignedTx:
        """A transaction of our wallet, signed in another life."""
        fields = {"nonce": nonce, "gasPrice": price, "gas": call.gas, "to": call.to, "value": 0}
        chain_id = self.chain.chain_id
        return self.wallet.sign_transaction({**fields, "data": call.data, "chainId": chain_id})


MakeBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
async def make_bench(chain: Anvil) -> MakeBench:
    """Benches on one chain; *url* is that of another way to it, *cap* the gas price cap."""
    admin = chain.sender(chain.keys[0])
    contract = (await admin.send(None, CREATION)).contract

    @asynccontextmanager
    async def make(
        *, url: str = "", cap: int = 22 * GWEI, block_time: float = 0.1, wei: int = 10**18
    ) -> AsyncIterator[Bench]:
        wallet = Wallet.from_key(64 * "1")
        await chain.set_balance(wallet.address, wei)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=5) as client,
            trio.open_nursery() as nursery,
        ):
            provider = NodeProvider(client, [url or chain.url])
            blocks = BlockWatch(provider, block_time)
            hub = Hub(provider, contract, wallet.address, blocks.next)
            route = Route(provider, wallet, blocks, GasRules(1.0, cap), chain.chain_id, block_time)
            outcomes: list[bool] = []
            transactions = Transactions(route, hub, outcomes.append)
            bench = Bench(chain, wallet, contract, transactions, nursery, outcomes)
            with trio.fail_after(30):
                await nursery.start(blocks.run, Node("blocks"))
                await nursery.start(transactions.run, bench.node)
                yield bench
            nursery.cancel_scope.cancel()

    return make


async def test_a_call_is_mined_with_its_event_and_remembered_before(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        known_before = []

        async def on_signed(signed: SignedTx) -> None:
            known_before.append(
                await bench.chain.rpc.call("eth_getTransactionByHash", signed.tx_hash)
            )
            seen.append(signed.tx_hash)

        seen: list[str] = []
        receipt = await bench.transactions.send(bench.call(), on_signed=on_signed)

        mined = await bench.chain.rpc.call("eth_getTransactionByHash", receipt.tx_hash)
        assert (receipt.tx_hash, known_before) == (seen[0], [None])
        assert receipt.block_number == int(mined["blockNumber"], 16) > 0
        assert (mined["type"], mined["gasPrice"]) == ("0x0", hex(GWEI))
        assert bench.outcomes == [True]
        assert await bench.transactions.mined([receipt.tx_hash]) == receipt


async def test_what_the_contract_refuses_is_not_sent(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        seen: list[str] = []
        await bench.transactions.send(bench.call(), on_signed=forget)

        with pytest.raises(Reverted, match=f"contribute of task {TASKS[0]} was refused"):
            await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))

        assert (seen, await bench.count(), bench.outcomes) == ([], 1, [True, False])


async def test_the_real_hub_says_nothing_and_we_say_why(
    make_bench: MakeBench, tools: Tools
) -> None:
    async with make_bench() as bench:
        admin = bench.chain.sender(bench.chain.keys[1])
        contracts = await deploy(tools.poco, admin, bench.chain.chain_id)
        transactions = bench.transactions
        transactions.hub = Hub(
            transactions.route.provider,
            contracts.hub.address,
            bench.wallet.address,
            transactions.route.blocks.next,
        )

        with pytest.raises(Reverted, match="was refused: the task is not on-chain"):
            await transactions.send(transactions.hub.reveal(TASKS[0], TASKS[1]), on_signed=forget)


async def test_mined_without_the_event_is_no_success(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        nobody = "0x" + 40 * "9"

        with pytest.raises(Reverted, match="it was mined without the hub's event"):
            await bench.transactions.send(bench.call(to=nobody), on_signed=forget)
        assert bench.outcomes == [False]


async def test_a_call_that_fails_in_its_block_is_reverted(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        other = bench.chain.sender(bench.chain.keys[2])
        await bench.chain.hold()
        # Unmined, a stranger's call for the same task that will come first.
        rival = {"from": other.address, "to": bench.hub, "data": bench.call().data}
        await bench.chain.rpc.call("eth_sendTransaction", {**rival, "gasPrice": hex(50 * GWEI)})
        async with trio.open_nursery() as nursery:

            async def release() -> None:
                await bench.waiting()
                await bench.chain.release()

            nursery.start_soon(release)
            with pytest.raises(Reverted, match="mined in block"):
                await bench.transactions.send(bench.call(), on_signed=forget)


async def test_one_at_a_time_with_nonces_in_a_row(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        receipts: list[ChainReceipt] = []

        async def send(task: str) -> None:
            receipts.append(await bench.transactions.send(bench.call(task), on_signed=forget))

        async with trio.open_nursery() as nursery:
            for task in TASKS:
                nursery.start_soon(send, task)

        assert await bench.count() == len(TASKS) == len({r.tx_hash for r in receipts})
        assert bench.node.doing == "nothing to send"


async def test_a_stuck_transaction_is_replaced_under_the_same_nonce(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        seen: list[str] = []
        await bench.chain.hold()

        async def on_signed(signed: SignedTx) -> None:
            seen.append(signed.tx_hash)
            if len(seen) == 3:
                bench.nursery.start_soon(bench.release_with, signed.tx_hash)

        receipt = await bench.transactions.send(bench.call(), on_signed=on_signed)

        mined = await bench.chain.rpc.call("eth_getTransactionByHash", receipt.tx_hash)
        assert receipt.tx_hash == seen[2], "three prices, the last of which was mined"
        assert (int(mined["nonce"], 16), int(mined["gasPrice"], 16)) == (0, 1_265_625_000)
        assert await bench.count() == 1


async def test_at_the_cap_a_stuck_transaction_is_left_alone(make_bench: MakeBench) -> None:
    async with make_bench(cap=GWEI, block_time=0.02) as bench:
        seen: list[str] = []
        await bench.chain.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send, bench, bench.call(), hashes_of(seen))
            await bench.waiting()
            await trio.sleep(0.6)  # real time is the point: twice the time of a replacement
            await bench.chain.release()

        assert len(seen) == 1
        assert bench.outcomes == [True]


async def _send(bench: Bench, call: Call, on_signed: OnSigned = forget) -> None:
    await bench.transactions.send(call, on_signed=on_signed)


async def test_a_caller_cancelled_in_flight_leaves_the_writer_in_order(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        seen: list[str] = []
        await bench.chain.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send, bench, bench.call(), hashes_of(seen))
            await bench.waiting()
            nursery.cancel_scope.cancel()
        await bench.chain.release()

        await bench.transactions.send(bench.call(TASKS[1]), on_signed=forget)

        assert await bench.count() == 2
        assert bench.outcomes == [True, True]
        assert await bench.transactions.mined(seen) is not None


async def test_a_caller_cancelled_in_the_queue_sends_nothing(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        await bench.chain.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send, bench, bench.call())
            await bench.waiting()
            with trio.move_on_after(0.1) as scope:
                await _send(bench, bench.call(TASKS[1]))
            assert scope.cancelled_caught
            await bench.chain.release()

        await _send(bench, bench.call(TASKS[2]))
        assert await bench.count() == 2


async def test_a_caller_cancelled_while_it_writes_the_hash_down_sends_nothing(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        async with trio.open_nursery() as nursery:

            async def on_signed(signed: SignedTx) -> None:
                nursery.cancel_scope.cancel()
                await trio.testing.wait_all_tasks_blocked()

            nursery.start_soon(_send, bench, bench.call(), on_signed)

        await _send(bench, bench.call(TASKS[1]))
        assert (await bench.count(), bench.outcomes) == (1, [True])


async def test_a_hash_that_cannot_be_written_down_is_not_broadcast(make_bench: MakeBench) -> None:
    async with make_bench() as bench:

        async def full(signed: SignedTx) -> None:
            raise OSError("no space left")

        with pytest.raises(OSError, match="no space left"):
            await bench.transactions.send(bench.call(), on_signed=full)
        assert await bench.count() == 0

        await _send(bench, bench.call())
        assert await bench.count() == 1


async def test_an_empty_wallet_is_out_of_gas(make_bench: MakeBench) -> None:
    async with make_bench(wei=100_000 * GWEI - 1) as bench:
        with pytest.raises(OutOfGas, match="send it some"):
            await _send(bench, bench.call())


@pytest.mark.parametrize("missing", [0, 1])
async def test_what_ends_its_task_leaves_the_gas_of_every_reveal_that_is_due(
    make_bench: MakeBench, missing: int
) -> None:
    # At the cap: itself, which is never revealed, and the reveal of a contribution that stands.
    needed = 2 * 100_000 * 22 * GWEI
    async with make_bench(wei=needed - missing) as bench:
        bench.transactions.dues.enter(TASKS[1], lambda: Due(reveal=100_000))
        ending = bench.call(kind=Kind.FINALIZE)
        if missing:
            with pytest.raises(OutOfGas, match="would use up what reveals may cost"):
                await _send(bench, ending)
        else:
            await _send(bench, ending)
        assert await bench.count() == 1 - missing


async def test_a_contribution_leaves_the_gas_of_every_reveal_that_is_due(
    make_bench: MakeBench,
) -> None:
    # At the cap: itself, its own reveal, and that of a contribution that stands.
    needed = 3 * 100_000 * 22 * GWEI
    async with make_bench(wei=needed - 1) as bench:
        bench.transactions.dues.enter(TASKS[1], lambda: Due(reveal=100_000))
        with pytest.raises(OutOfGas, match="would use up what reveals may cost"):
            await _send(bench, bench.call())
        assert await bench.count() == 0

        reveal = bench.call(TASKS[1], kind=Kind.REVEAL)
        await _send(bench, reveal)
        bench.transactions.dues.leave(TASKS[1])
        await _send(bench, bench.call())
        assert await bench.count() == 2


async def test_a_reveal_overtakes_the_contributions_that_wait(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        await bench.chain.hold()
        order: list[str] = []

        async def send(call: Call) -> None:
            await _send(bench, call)
            order.append(call.task_id)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, bench.call(TASKS[0]))
            await bench.waiting()
            for task in TASKS[1:4]:
                nursery.start_soon(send, bench.call(task))
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(send, bench.call(TASKS[4], kind=Kind.REVEAL))
            await trio.testing.wait_all_tasks_blocked()
            await bench.chain.release()

        assert order == [TASKS[0], TASKS[4], *TASKS[1:4]]


async def test_a_free_chain_needs_no_gas(make_bench: MakeBench) -> None:
    async with make_bench(wei=0, cap=0) as bench:
        await _send(bench, bench.call())


async def test_callers_do_not_hang_when_the_writer_stops(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        bench.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.fail_after(5):
            transactions = Transactions(bench.transactions.route, bench.transactions.hub, print)
            async with trio.open_nursery() as caller:

                async def refused(signed: SignedTx) -> None:
                    writer.cancel()
                    await trio.sleep_forever()

                writer = trio.CancelScope()

                async def write() -> None:
                    with writer:
                        await transactions.run(Node("w"))

                caller.start_soon(write)
                with pytest.raises(Unavailable, match="stops sending"):
                    await transactions.send(bench.call(), on_signed=refused)


async def test_what_was_signed_before_a_crash_is_broadcast_again_byte_for_byte(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        signed = bench.signed(bench.call(), nonce=0, price=GWEI)
        seen: list[str] = []

        receipt = await bench.transactions.send(
            bench.call(), on_signed=hashes_of(seen), signed=[signed]
        )

        assert (receipt.tx_hash, seen, await bench.count()) == (signed.tx_hash, [], 1)


@pytest.mark.parametrize("mined", [0, 1])
async def test_any_version_that_was_mined_before_a_crash_is_found(
    mined: int, make_bench: MakeBench
) -> None:
    async with make_bench() as bench:
        versions = [bench.signed(bench.call(), nonce=0, price=p * GWEI) for p in (1, 2)]
        await bench.chain.rpc.call("eth_sendRawTransaction", versions[mined].hex)

        receipt = await bench.transactions.send(bench.call(), on_signed=forget, signed=versions)

        assert (receipt.tx_hash, await bench.count()) == (versions[mined].tx_hash, 1)


async def test_one_that_had_no_effect_before_a_crash_is_made_anew(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        nobody = "0x" + 40 * "9"
        useless = bench.signed(bench.call(to=nobody), nonce=0, price=GWEI)
        await bench.chain.rpc.call("eth_sendRawTransaction", useless.hex)
        seen: list[str] = []

        receipt = await bench.transactions.send(
            bench.call(), on_signed=hashes_of(seen), signed=[useless]
        )

        assert (seen, await bench.count()) == ([receipt.tx_hash], 2)


async def test_one_whose_nonce_went_to_another_is_made_anew(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        await bench.transactions.send(bench.call(TASKS[1]), on_signed=forget)
        outrun = bench.signed(bench.call(), nonce=0, price=3 * GWEI)
        seen: list[str] = []

        receipt = await bench.transactions.send(
            bench.call(), on_signed=hashes_of(seen), signed=[outrun]
        )

        assert (seen, await bench.count()) == ([receipt.tx_hash], 2)


async def test_one_that_is_stuck_since_before_a_crash_is_replaced(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        await bench.chain.hold()
        stuck = bench.signed(bench.call(), nonce=0, price=GWEI)
        seen: list[str] = []

        async def on_signed(signed: SignedTx) -> None:
            seen.append(signed.tx_hash)
            bench.nursery.start_soon(bench.release_with, signed.tx_hash)

        receipt = await bench.transactions.send(bench.call(), on_signed=on_signed, signed=[stuck])

        assert (receipt.tx_hash, await bench.count()) == (seen[0], 1)


async def test_a_nonce_of_an_earlier_life_is_kept_for_its_transaction(
    make_bench: MakeBench,
) -> None:
    async with make_bench() as bench:
        # Signed and written down, and then the process died: no node has ever seen it.
        signed = bench.signed(bench.call(), nonce=0, price=GWEI)
        bench.transactions.adopt(bench.call(), [signed], forget)

        await bench.transactions.send(bench.call(TASKS[1]), on_signed=forget)

        assert await bench.transactions.mined([signed.tx_hash]) is not None
        assert await bench.count() == 2


async def test_a_transaction_from_before_a_crash_is_waited_for_not_doubled(
    make_bench: MakeBench,
) -> None:
    async with make_bench(block_time=1) as bench:
        await bench.chain.hold()
        raw = bench.raw(bench.call(), nonce=0, price=GWEI)
        await bench.chain.rpc.call("eth_sendRawTransaction", raw)
        async with trio.open_nursery() as nursery:

            async def release() -> None:
                await until(started)
                await bench.chain.release()

            async def started() -> bool:
                return bench.node.doing != "nothing to send"

            nursery.start_soon(release)
            with pytest.raises(Reverted):
                await _send(bench, bench.call())

        assert await bench.count() == 1


async def test_a_stuck_one_from_before_a_crash_gives_its_nonce(make_bench: MakeBench) -> None:
    async with make_bench() as bench:
        await bench.chain.hold()
        raw = bench.raw(bench.call(), nonce=0, price=2 * GWEI)
        await bench.chain.rpc.call("eth_sendRawTransaction", raw)
        seen: list[str] = []

        async def on_signed(signed: SignedTx) -> None:
            seen.append(signed.tx_hash)
            bench.nursery.start_soon(bench.release_with, signed.tx_hash)

        receipt = await bench.transactions.send(bench.call(TASKS[1]), on_signed=on_signed)

        assert receipt.tx_hash == seen[-1]
        assert len(seen) > 1, "the first price was too low to replace it"
        assert await bench.count() == 1


async def pass_on(chain: Anvil, method: str, params: list[Any]) -> Any:  # noqa: ANN401 - JSON
    """What the chain says to a request, errors included."""
    async with httpx.AsyncClient(trust_env=False) as client:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = (await client.post(chain.url, json=body)).json()
    if "error" in answer:
        error = answer["error"]
        raise RpcError(error["code"], error["message"], error.get("data"))
    return answer["result"]


@define(eq=False)
class Between:
    """A node in front of the chain that interferes with the first broadcast."""

    chain: Anvil
    interfere: Callable[[str], Awaitable[Any]]
    broadcasts: int = 0

    async def answer(self, method: str, params: list[Any]) -> object:
        if method == "eth_sendRawTransaction":
            self.broadcasts += 1
            if self.broadcasts == 1:
                await self.interfere(params[0])
        return await pass_on(self.chain, method, params)


async def _between(
    chain: Anvil, make_node: MakeNode, interfere: Callable[[str], Awaitable[Any]]
) -> tuple[Between, FakeNode]:
    between = Between(chain, interfere)
    return between, await make_node(between.answer)


async def test_an_answer_that_is_lost_does_not_double_the_transaction(
    chain: Anvil, make_bench: MakeBench, make_node: MakeNode
) -> None:
    async def taken_but_silent(raw: str) -> None:
        await chain.rpc.call("eth_sendRawTransaction", raw)
        raise HangUp

    _, node = await _between(chain, make_node, taken_but_silent)
    async with make_bench(url=node.url) as bench:
        seen: list[str] = []
        await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))
        assert (len(seen), await bench.count()) == (1, 1)


async def test_a_request_that_is_lost_is_broadcast_again(
    chain: Anvil, make_bench: MakeBench, make_node: MakeNode
) -> None:
    async def lost(raw: str) -> None:
        raise HangUp

    between, node = await _between(chain, make_node, lost)
    async with make_bench(url=node.url) as bench:
        seen: list[str] = []
        await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))
        assert (len(seen), between.broadcasts) == (1, 2)


async def test_a_nonce_that_went_to_a_stranger_is_not_ours(
    chain: Anvil, make_bench: MakeBench, make_node: MakeNode
) -> None:
    benches: list[Bench] = []

    async def faster(raw: str) -> None:
        stranger = benches[0].raw(benches[0].call(TASKS[5]), nonce=0, price=GWEI)
        await chain.rpc.call("eth_sendRawTransaction", stranger)
        await until(mined)

    async def mined() -> bool:
        return await benches[0].count() == 1

    _, node = await _between(chain, make_node, faster)
    # Slow enough blocks for four looks before it would be replaced, also on a busy machine.
    async with make_bench(url=node.url, block_time=0.5) as bench:
        benches.append(bench)
        seen: list[str] = []
        receipt = await bench.transactions.send(bench.call(), on_signed=hashes_of(seen))
        # On a busy machine it may also have been replaced.
        assert receipt.tx_hash in seen[1:]
        assert await bench.count() == 2


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("insufficient funds for gas * price + value", OutOfGas),
        ("max fee per gas less than block base fee", Unavailable),
    ],
)
async def test_what_a_node_says_before_it_took_anything(
    message: str,
    kind: type[Exception],
    chain: Anvil,
    make_bench: MakeBench,
    make_node: MakeNode,
) -> None:
    async def refuse(raw: str) -> None:
        between.broadcasts = 0
        raise RpcError(-32000, message)

    between, node = await _between(chain, make_node, refuse)
    async with make_bench(url=node.url) as bench:
        with pytest.raises(kind):
            await _send(bench, bench.call())
        assert await bench.count() == 0
