from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from eth_account import Account

from iexec_worker.devpool.chain.anvil import Node, anvil
from iexec_worker.devpool.chain.rpc import Rpc
from iexec_worker.devpool.chain.sender import Sender
from iexec_worker.errors import Fatal, Rejected, Unavailable
from tests.looking import until

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.tools import Tools

pytestmark = [pytest.mark.node, pytest.mark.slow]


async def height(node: Node) -> int:
    return int(await node.rpc.call("eth_blockNumber"), 16)


async def timestamp(node: Node) -> int:
    block = await node.rpc.call("eth_getBlockByNumber", "latest", False)
    return int(block["timestamp"], 16)


async def test_a_transaction_is_mined_when_it_is_sent(node: Node) -> None:
    sender, other = map(node.sender, node.keys[:2])
    before = await height(node)

    with trio.fail_after(0.9):
        receipt = await sender.send(other.address, value=5)

    assert receipt.block_number > before


async def test_blocks_come_without_transactions(node: Node) -> None:
    before = await height(node)

    async def grown() -> bool:
        return await height(node) >= before + 2

    await until(grown)


async def test_concurrent_sends_of_one_key_take_their_turns(node: Node) -> None:
    other = node.sender(node.keys[1]).address
    before = int(await node.rpc.call("eth_getBalance", other, "latest"), 16)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(lambda: node.sender(node.keys[0]).send(other, value=1))

    assert int(await node.rpc.call("eth_getBalance", other, "latest"), 16) == before + 10


async def test_gas_may_cost_nothing_and_the_node_names_a_price(node: Node) -> None:
    block = await node.rpc.call("eth_getBlockByNumber", "latest", False)

    assert block["baseFeePerGas"] == "0x0"
    assert await node.rpc.call("eth_gasPrice") == hex(1_000_000_000)


async def test_nothing_is_mined_while_on_hold(node: Node) -> None:
    sender, other = map(node.sender, node.keys[:2])
    await node.hold()
    before = await height(node)

    async def waiting() -> bool:
        return int((await node.rpc.call("txpool_status"))["pending"], 16) > 0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: sender.send(other.address, value=1))
        await until(waiting)
        assert await height(node) == before
        with trio.fail_after(10):
            await node.release()

    assert await height(node) > before


async def test_a_dropped_transaction_is_gone(node: Node) -> None:
    account = Account.from_key(node.keys[0])
    transaction = {
        "to": Account.from_key(node.keys[1]).address,
        "value": 1,
        "gas": 21_000,
        "gasPrice": 0,
        "nonce": 0,
        "chainId": node.chain_id,
    }
    raw = bytes(account.sign_transaction(transaction).raw_transaction)
    await node.hold()
    tx_hash = await node.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())

    assert await node.drop(tx_hash)
    assert not await node.drop(tx_hash)
    assert await node.rpc.call("eth_getTransactionByHash", tx_hash) is None


async def test_the_clock_can_be_set_forward(node: Node) -> None:
    before = await timestamp(node)
    await node.increase_time(1_000)
    assert await timestamp(node) >= before + 1_000

    await node.next_timestamp(before + 5_000)
    await node.mine()
    assert await timestamp(node) == before + 5_000


async def test_balances_come_out_of_nowhere(node: Node) -> None:
    address = "0x" + 40 * "7"
    await node.set_balance(address, 42)
    assert await node.rpc.call("eth_getBalance", address, "latest") == "0x2a"


async def test_the_chain_ends_with_its_scope(tools: Tools, tmp_path: Path) -> None:
    async with anvil(tools.anvil, tmp_path / "log", chain_id=134) as node:
        assert int(await node.rpc.call("eth_chainId"), 16) == 134

    assert node.child.process.returncode is not None


async def test_a_node_that_is_gone_is_unavailable(tools: Tools, tmp_path: Path) -> None:
    async with anvil(tools.anvil, tmp_path / "log") as node:
        url = node.url

    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(Unavailable, match=f"node {url} gave no answer"):
            await Rpc(client, url).call("eth_chainId")


async def test_what_the_node_refuses_is_told_with_its_reason(node: Node) -> None:
    with pytest.raises(Rejected, match="eth_noSuchMethod: "):
        await node.rpc.call("eth_noSuchMethod")


async def test_a_port_that_is_taken_is_told(node: Node, tools: Tools, tmp_path: Path) -> None:
    port = int(node.url.rpartition(":")[2])
    with pytest.raises(Fatal, match=r"anvil ended with status \d+: .*in use"):
        async with anvil(tools.anvil, tmp_path / "log", port=port):
            pass


async def test_a_sender_without_money_is_refused(node: Node) -> None:
    poor = Sender(node.rpc, "0x" + 64 * "1", node.chain_id)
    with pytest.raises(Rejected):
        await poor.send(node.sender(node.keys[0]).address, value=1)
