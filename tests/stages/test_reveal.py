"""Revealing: when the chain allows it, and never given up while it still may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from iexec_worker.errors import Reverted, StageFailed
from iexec_worker.model import ZERO_HASH, ComputedFile, ContributionStatus
from iexec_worker.stages.reveal import Reveal
from iexec_worker.stages.sending import Sending
from iexec_worker.wire import Cause
from tests.samples import WALLET
from tests.stages.conftest import DIGEST, FakeChain, now

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task


@pytest.fixture
def reveal(chain: FakeChain, conditions: Conditions, task: Task) -> Reveal:
    task.record.computed = ComputedFile("/iexec_out/a", result_digest=DIGEST)
    task.record.consensus_block = 100
    chain.is_contributed()
    chain.has_consensus()
    edge: Any = chain
    return Reveal(conditions, edge, Sending(edge, edge), edge, WALLET, now)


async def cause(reveal: Reveal, task: Task) -> Cause:
    with trio.fail_after(5), pytest.raises(StageFailed) as caught:
        await reveal(task)
    return caught.value.cause


async def test_what_is_missing_is_told_in_order(reveal: Reveal, task: Task) -> None:
    task.record.consensus_block, task.record.computed = 0, None
    assert await cause(reveal, task) is Cause.CONSENSUS_BLOCK_MISSING
    task.record.consensus_block = 100
    assert await cause(reveal, task) is Cause.DETERMINISM_HASH_NOT_FOUND


async def test_the_block_of_the_consensus_is_waited_for(
    reveal: Reveal, chain: FakeChain, task: Task
) -> None:
    task.record.consensus_block = 105
    with trio.fail_after(5):
        await reveal(task)
    assert (chain.head >= 105, chain.calls) == (True, ["reveal"])


async def test_a_block_that_never_comes_is_given_up_before_the_deadline_has_passed(
    reveal: Reveal,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def never(number: int) -> None:
        await trio.sleep_forever()

    task.record.consensus_block = 10**9
    monkeypatch.setattr(FakeChain, "reached", lambda _self, number: never(number))
    with pytest.raises(StageFailed) as caught:
        await reveal(task)
    assert caught.value.cause is Cause.BLOCK_NOT_REACHED


async def test_a_reveal_of_ours_is_success(reveal: Reveal, chain: FakeChain, task: Task) -> None:
    chain.is_contributed(ContributionStatus.PROVED)
    await reveal(task)
    assert chain.calls == []


@pytest.mark.parametrize("change", ["consensus", "deadline", "rejected", "seal"])
async def test_what_can_never_be_revealed_is_not_tried(
    reveal: Reveal, chain: FakeChain, task: Task, change: str
) -> None:
    if change == "consensus":
        chain.has_consensus(ZERO_HASH)
    elif change == "deadline":
        chain.task = attrs.evolve(chain.task, reveal_deadline=1000)
    elif change == "rejected":
        chain.is_contributed(ContributionStatus.REJECTED)
    else:
        chain.contribution = attrs.evolve(chain.contribution, result_seal=ZERO_HASH)
    assert await cause(reveal, task) is Cause.CANNOT_REVEAL
    assert chain.calls == []


async def test_a_refusal_that_passes_is_tried_again(
    reveal: Reveal, chain: FakeChain, task: Task
) -> None:
    def once() -> None:
        if len(chain.calls) == 1:
            raise Reverted("a node behind another")

    chain.on_send = once
    with trio.fail_after(5):
        await reveal(task)
    assert chain.calls == ["reveal", "reveal"]
