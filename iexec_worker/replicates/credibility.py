"""Which notifications of the topic are to be believed: anyone who reaches the pool can publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.replicates.standings import (
    has_revealed,
    is_completed,
    is_ours,
    may_reveal,
    may_still_reveal,
    over,
)
from iexec_worker.wire import Action, Status

if TYPE_CHECKING:
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.model import Notification
    from iexec_worker.replicates.uploads import Uploads
    from iexec_worker.scheduler.session import Session
    from iexec_worker.stages.conditions import Conditions, Standing
    from iexec_worker.stages.task import Task

#: The only actions a pool publishes; the others come as answers to our own requests.
PUBLISHED: Final = frozenset(
    {Action.PLEASE_REVEAL, Action.PLEASE_UPLOAD, Action.PLEASE_COMPLETE, Action.PLEASE_ABORT}
)

#: What a pool that was told it asks nothing more after but an abort, also on the topic of a trusted
#: task. It need not be asked: the question alone has it take everything it has just given us for
#: begun before a crash.
_GIVEN_UP: Final = frozenset({Status.START_FAILED, Status.COMPUTE_FAILED})


@frozen
class Credibility:
    """Holds what the topic says against the chain and the pool's REST interface."""

    conditions: Conditions
    session: Session
    blocks: BlockWatch
    uploads: Uploads

    async def doubt(self, task: Task, action: Action, *, in_step: bool = False) -> str:
        """
        Say why *action* is not believed now; empty when it is. *in_step*: its step asks.

        Raises `Unavailable` when the chain cannot be asked.
        """
        if action not in PUBLISHED:
            return "the pool never publishes this"
        standing = await self.conditions.standing(task)
        if action is Action.PLEASE_ABORT:
            return await self._abort_doubt(task, standing, in_step=in_step)
        wanted, fact = {
            Action.PLEASE_REVEAL: (may_reveal, "the chain shows nothing of ours to reveal"),
            Action.PLEASE_UPLOAD: (has_revealed, "the chain does not show our reveal"),
            Action.PLEASE_COMPLETE: (is_completed, "the task is not completed on-chain"),
        }[action]
        return "" if wanted(standing) else fact

    async def _abort_doubt(self, task: Task, standing: Standing, *, in_step: bool) -> str:
        now = self.conditions.now()
        if may_still_reveal(standing, now):
            return "our contribution stands and may still be revealed"
        if is_ours(standing):
            return "the task is completed with our result"
        if has_revealed(standing) and not over(standing, now):
            # A pool that is asked does not list it while another worker uploads.
            return "our reveal stands, and the result may still be asked for"
        if over(standing, now) or not _GIVEN_UP.isdisjoint(task.record.told):
            return ""
        wish = await self.wish(task, in_step=in_step)
        wanted = wish is not None and wish.action is not Action.PLEASE_ABORT
        return "the pool itself still wants this task" if wanted else ""

    async def wish(self, task: Task, *, in_step: bool = False) -> Notification | None:
        """
        Ask the pool itself what it wants of a task, once results are uploaded; None: nothing.

        *in_step*: its step asks, which must not wait for itself. Raises `Unavailable`.
        """
        await self.uploads.ended(but=task if in_step else None)
        block = await self.blocks.current()
        wishes = await self.session.interrupted(block.number)
        return next((wish for wish in wishes if wish.chain_task_id == task.id), None)
