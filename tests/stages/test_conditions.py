"""What must hold on-chain, in the pool's order, and what a node that is behind is not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from iexec_worker.errors import StageFailed, Unavailable
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task
    from tests.stages.conftest import FakeChain


async def cause(conditions: Conditions, task: Task) -> Cause:
    with pytest.raises(StageFailed) as caught:
        await conditions.check(task)
    return caught.value.cause


async def test_the_first_condition_that_fails_is_the_cause(
    conditions: Conditions, chain: FakeChain, task: Task
) -> None:
    late = attrs.evolve(chain.task, contribution_deadline=1000)
    chain.stake, chain.task = 4, attrs.evolve(late, status=TaskStatus.FAILED)
    assert await cause(conditions, task) is Cause.STAKE_TOO_LOW
    chain.stake = 5
    assert await cause(conditions, task) is Cause.TASK_NOT_ACTIVE
    chain.task = late
    assert await cause(conditions, task) is Cause.CONTRIBUTION_TIMEOUT


async def test_a_contribution_of_ours_is_no_lack_of_stake(
    conditions: Conditions, chain: FakeChain, task: Task
) -> None:
    chain.is_contributed(ContributionStatus.CONTRIBUTED)
    chain.stake = 0
    assert await cause(conditions, task) is Cause.CONTRIBUTION_ALREADY_SET


async def test_a_node_that_does_not_know_the_task_is_behind(
    conditions: Conditions, chain: FakeChain, task: Task
) -> None:
    chain.task = attrs.evolve(chain.task, status=TaskStatus.UNSET, final_deadline=0)
    with pytest.raises(Unavailable, match="behind"):
        await conditions.standing(task)


async def test_a_node_that_lost_our_contribution_is_behind(
    conditions: Conditions, task: Task
) -> None:
    task.record.told.append(Status.CONTRIBUTED)
    with pytest.raises(Unavailable, match="behind"):
        await conditions.standing(task)


async def test_after_the_final_deadline_the_chain_is_believed_whatever_it_says(
    conditions: Conditions, chain: FakeChain, task: Task
) -> None:
    chain.task = attrs.evolve(chain.task, status=TaskStatus.UNSET)
    late = attrs.evolve(conditions, now=lambda: 3000.0)
    assert (await late.standing(task)).task.status is TaskStatus.UNSET
