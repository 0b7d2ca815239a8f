from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.devpool.chain.rpc import Rpc
from iexec_worker.devpool.chaos.node import ReturningNode

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.devpool.chain.anvil import Node
    from tests.devpool.conftest import Village

pytestmark = [pytest.mark.node, pytest.mark.slow]


@pytest.fixture
async def returning(nursery: trio.Nursery, node: Node, tmp_path: Path) -> ReturningNode:
    return ReturningNode(node, node.sender(node.keys[1]), tmp_path, nursery)


async def test_what_was_mined_outlives_the_node(returning: ReturningNode, village: Village) -> None:
    bought = await village.buy()
    topics = [village.contracts.hub.abi.topic("OrdersMatched")]
    with trio.fail_after(60):
        for _ in range(2):
            await returning.restart()
            deal = await village.chain.deal(bought.deal_id)
            logs = await village.node.rpc.logs(village.contracts.hub.address, topics, first=0)

            assert deal is not None
            assert len(logs) == 1


async def test_a_block_that_is_mined_while_its_state_is_saved_outlives_the_node(
    returning: ReturningNode, village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, call = village.node, Rpc.call
    mined: list[dict[str, str]] = []

    async def busy(rpc: Rpc, method: str, *params: object) -> object:
        answer = await call(rpc, method, *params)
        if method == "anvil_dumpState" and not mined:
            # As a block of what was sent before the hold.
            await node.mine()
            mined.append(await node.rpc.call("eth_getBlockByNumber", "latest", False))
        return answer

    monkeypatch.setattr(Rpc, "call", busy)
    with trio.fail_after(60):
        await returning.restart()

    (block,) = mined
    assert await node.rpc.call("eth_getBlockByNumber", block["number"], False) is not None


async def test_what_waited_to_be_mined_is_lost_with_the_node(
    returning: ReturningNode, village: Village
) -> None:
    node, sender = village.node, village.worker
    await node.hold()
    transfer = {"from": sender.address, "to": sender.address, "value": "0x1"}
    tx_hash = await node.rpc.call("eth_sendTransaction", transfer)
    with trio.fail_after(60):
        await returning.restart()

    assert await node.rpc.call("eth_getTransactionByHash", tx_hash) is None


async def test_a_node_that_is_back_mines(returning: ReturningNode, village: Village) -> None:
    with trio.fail_after(60):
        await returning.restart()
        before = (await village.chain.latest_block()).number
        await village.buy()

    assert (await village.chain.latest_block()).number > before
