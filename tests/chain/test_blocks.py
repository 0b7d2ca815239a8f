from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing
import trio
from attrs import define, field

from iexec_worker.chain.node.blocks import BlockWatch
from iexec_worker.chain.node.rpc import Block
from iexec_worker.telemetry.tree import Node
from tests.looking import until

from .conftest import HangUp, MakeNode, MakeProvider

if TYPE_CHECKING:
    from iexec_worker.chain.node.provider import NodeProvider


@define(eq=False)
class Head:
    """A chain that only has a head; *away*: it hangs up."""

    number: int = 100
    age: float = 0.0
    away: bool = False
    polls: list[float] = field(factory=list)

    async def polled(self, times: int) -> None:
        async def enough() -> bool:
            return len(self.polls) >= times

        await until(enough)

    async def answer(self, method: str, params: list[Any]) -> object:
        self.polls.append(trio.current_time())
        if self.away:
            raise HangUp
        if method == "eth_blockNumber":
            return hex(self.number)
        assert (method, params) == ("eth_getBlockByNumber", ["latest", False])
        seconds = int(time.time() - self.age)
        # As on proof-of-authority chains: longer than 32 bytes.
        return {"number": hex(self.number), "timestamp": hex(seconds), "extraData": 200 * "0xff"}


@pytest.fixture
def head() -> Head:
    return Head()


@pytest.fixture
async def provider(head: Head, make_node: MakeNode, make_provider: MakeProvider) -> NodeProvider:
    return make_provider((await make_node(head.answer)).url)


async def test_started_with_the_first_block(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    watch = BlockWatch(provider, block_time=0.5)

    with trio.fail_after(5):
        first = await nursery.start(watch.run, Node("blocks"))

    assert isinstance(first, Block)
    assert first.number == 100
    assert await watch.current() == first


@pytest.mark.slow
async def test_a_new_block_is_known_within_a_block_time(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    watch = BlockWatch(provider, block_time=0.5)
    await nursery.start(watch.run, Node("blocks"))
    head.number = 101

    with trio.fail_after(0.5):
        assert (await watch.next()).number == 101


@pytest.mark.slow
async def test_reached_returns_at_once_or_when_the_block_is_there(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    watch = BlockWatch(provider, block_time=0.5)
    await nursery.start(watch.run, Node("blocks"))
    assert (await watch.reached(99)).number == 100

    async def jump() -> None:
        head.number = 110

    nursery.start_soon(jump)
    with trio.fail_after(2):
        assert (await watch.reached(105)).number == 110


@pytest.mark.parametrize(("block_time", "period"), [(5.0, 2.5), (1.0, 0.5), (0.1, 0.25), (0, 0.25)])
async def test_the_period_is_half_a_block_time_but_never_busier_than_four_a_second(
    block_time: float, period: float, make_provider: MakeProvider
) -> None:
    assert BlockWatch(make_provider("http://x"), block_time).period == period


@pytest.mark.slow
async def test_a_node_that_is_away_is_logged_once_and_waited_for(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    watch, node = BlockWatch(provider, block_time=0.1), Node("blocks")
    await nursery.start(watch.run, node)

    with structlog.testing.capture_logs() as logs, trio.fail_after(10):
        head.away = True
        before = len(head.polls)
        await head.polled(before + 3)
        assert node.doing.startswith("node away for ")
        head.away, head.number = False, 200
        await watch.reached(200)

    told = [entry for entry in logs if entry["log_level"] != "debug"]
    assert [entry["event"] for entry in told] == ["node away", "node back"]
    assert told[0]["last_answer"].endswith(" s ago")
    assert node.doing.startswith("block 200")


@pytest.mark.slow
async def test_a_node_that_is_away_at_the_start_is_waited_for(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    head.away = True
    watch, node = BlockWatch(provider, block_time=0.1), Node("blocks")
    nursery.start_soon(watch.run, node)
    with trio.fail_after(10):
        await head.polled(2)
        assert node.doing.startswith("node away")
        assert watch.trouble == "the node has not answered yet"
        head.away = False
        assert (await watch.current()).number == 100


@pytest.mark.slow
async def test_the_pauses_grow_while_the_node_is_away(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    head.away = True
    nursery.start_soon(BlockWatch(provider, block_time=0.1).run, Node("blocks"))

    with trio.fail_after(20):
        await head.polled(4)

    gaps = [later - sooner for sooner, later in zip(head.polls, head.polls[1:], strict=False)]
    # At half jitter: 0.25, 0.5 and 1 s at least.
    assert [gap >= least for gap, least in zip(gaps, (0.25, 0.5, 1.0), strict=True)] == 3 * [True]


@pytest.mark.slow
async def test_synchronised_means_a_fresh_head(
    head: Head, provider: NodeProvider, nursery: trio.Nursery
) -> None:
    watch = BlockWatch(provider, block_time=1)
    seen = [not watch.trouble]
    await nursery.start(watch.run, Node("blocks"))
    seen.append(not watch.trouble)

    head.age, head.number = 120, 101
    with trio.fail_after(3):
        await watch.next()

    assert [*seen, not watch.trouble] == [False, True, False]
    assert watch.trouble.startswith("the node's latest block 101 is 1")


async def test_a_stuck_node_is_left_for_one_that_is_ahead(
    head: Head, make_node: MakeNode, make_provider: MakeProvider, nursery: trio.Nursery
) -> None:
    head.age = 100
    ahead = Head(number=300)
    stuck, good = await make_node(head.answer), await make_node(ahead.answer)
    watch = BlockWatch(make_provider(stuck.url, good.url), block_time=1)

    with trio.fail_after(5):
        assert (await nursery.start(watch.run, Node("blocks"))).number == 300
    assert not watch.trouble


@pytest.mark.slow
async def test_an_answer_that_is_no_block_is_survived(
    make_node: MakeNode, make_provider: MakeProvider, nursery: trio.Nursery
) -> None:
    answers: list[Any] = [None, {"number": "x"}, {"number": "0x5", "timestamp": "0x5"}]

    async def odd(method: str, params: list[Any]) -> object:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    watch = BlockWatch(make_provider((await make_node(odd)).url), block_time=0.1)

    with trio.fail_after(10):
        assert await nursery.start(watch.run, Node("blocks")) == Block(5, 5)
