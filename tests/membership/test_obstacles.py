"""Why no work may be taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from attrs import define

from iexec_worker.chain.gas import GasRules
from iexec_worker.chain.node.rpc import NodeRefused
from iexec_worker.chain.transactions.dues import Due, Dues
from iexec_worker.membership.obstacles import Obstacles
from tests.membership.conftest import WALLET, FakeBlocks

if TYPE_CHECKING:
    from collections.abc import MutableMapping

CAP = 22 * 10**9
ONE = CAP * 1_000_000


@define(eq=False)
class FakeHub:
    wei: int | Exception
    wallet: str = WALLET

    async def balance(self, address: str) -> int:
        await trio.lowlevel.checkpoint()
        if isinstance(self.wei, Exception):
            raise self.wei
        return self.wei


RULES = GasRules(1.0, CAP)


def obstacles(
    wei: int | Exception,
    rules: GasRules = RULES,
    *,
    machine: str = "",
    dues: Dues | None = None,
) -> Obstacles:
    hub: Any = FakeHub(wei)
    blocks: Any = FakeBlocks()

    async def trouble() -> str:
        return machine

    return Obstacles(hub, blocks, rules, dues or Dues(), trio.Event(), trouble)


async def test_less_than_one_transaction_is_out_of_gas() -> None:
    look = obstacles(ONE - 1)
    assert WALLET in await look()
    assert "out of gas" in look.gas


async def test_few_transactions_are_a_warning_once(
    log_events: list[MutableMapping[str, Any]],
) -> None:
    look = obstacles(9 * ONE)
    assert await look() == await look() == ""
    assert [event["transactions_left"] for event in log_events] == [9]


@pytest.mark.parametrize("rules", [GasRules(1.0, CAP, sidechain=True), GasRules(1.0, 0)])
async def test_free_chains_need_no_gas(rules: GasRules) -> None:
    assert await obstacles(0, rules)() == ""


async def test_draining_and_the_nodes_trouble_are_in_the_way() -> None:
    look = obstacles(100 * ONE)
    blocks: Any = look.blocks
    blocks.trouble = "the node has been away for 60 s"
    assert await look() == blocks.trouble
    look.draining.set()
    assert "draining" in await look()


async def test_a_node_that_refuses_is_in_the_way() -> None:
    assert "limit" in await obstacles(NodeRefused(-32000, "daily limit reached"))()


async def test_a_machine_that_cannot_compute_takes_no_work() -> None:
    assert await obstacles(100 * ONE, machine="the disk is full")() == "the disk is full"


def under_way(*dues: Due) -> Dues:
    found = Dues()
    for number, due in enumerate(dues):
        found.enter(str(number), lambda due=due: due)  # type: ignore[misc]  # bound now
    return found


async def test_gas_is_kept_back_for_the_tasks_under_way() -> None:
    # At the cap: 600,000 for a new task, 600,000 for one that computes, 100,000 for a reveal.
    dues = under_way(Due(other=600_000), Due(reveal=100_000))
    needed = 1_300_000 * CAP

    assert await obstacles(needed, dues=dues)() == ""
    look = obstacles(needed - 7, dues=dues)
    assert await look() == look.gas
    assert f"send 7 wei to {WALLET}" in look.gas
    assert "kept back" in look.gas


@pytest.mark.parametrize("rules", [GasRules(1.0, CAP, sidechain=True), GasRules(1.0, 0)])
async def test_free_chains_keep_no_gas_back(rules: GasRules) -> None:
    assert await obstacles(0, rules, dues=under_way(Due(reveal=100_000)))() == ""


async def test_a_task_that_is_over_keeps_nothing_back() -> None:
    dues = under_way(Due(other=600_000))
    dues.leave("0")
    assert await obstacles(ONE, dues=dues)() == ""
