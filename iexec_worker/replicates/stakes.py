"""What of ours is at stake on-chain: it is looked at before a task is dropped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from iexec_worker.replicates.asking import PATIENCE, patiently
from iexec_worker.replicates.standings import can_contribute, is_ours, may_still_reveal

if TYPE_CHECKING:
    from iexec_worker.replicates.surroundings import Surroundings
    from iexec_worker.stages.conditions import Standing
    from iexec_worker.stages.task import Task


async def at_stake(task: Task, around: Surroundings) -> str:
    """Say what of ours on-chain forbids to drop *task*; empty when nothing does."""
    standing, now = await _settled(task, around), around.now()
    if may_still_reveal(standing, now):
        return "our contribution may still be revealed"
    # Our own transaction may have ended it while we were told, or decided, to drop it. Later on
    # nobody is interested in that.
    ended = is_ours(standing) and now < standing.task.final_deadline
    return "the task is completed with our result" if ended else ""


async def _settled(task: Task, around: Surroundings) -> Standing:
    """Wait as long as a contribution that was sent may still be mined: it has our stake."""

    async def may_land() -> bool:
        early = around.now() < task.description.contribution_deadline
        return early and await around.sending.may_contribute(task)

    look = partial(around.conditions.standing, task)
    while True:
        # In this order: what is mined between the two questions shows.
        awaited = await patiently(task, around.blocks, may_land)
        standing = await patiently(task, around.blocks, look)
        if not awaited or not can_contribute(standing):
            return standing
        task.node.doing = "before an abort: waiting for a contribution that was sent"
        await around.blocks.pause(PATIENCE)
