"""Which notifications of the topic are to be believed: anyone who reaches the pool can publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Action, Cause, Status

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
            Action.PLEASE_REVEAL: (_may_reveal, "the chain shows nothing of ours to reveal"),
            Action.PLEASE_UPLOAD: (_has_revealed, "the chain does not show our reveal"),
            Action.PLEASE_COMPLETE: (_is_completed, "the task is not completed on-chain"),
        }[action]
        return "" if wanted(standing) else fact

    async def _abort_doubt(self, task: Task, standing: Standing, *, in_step: bool) -> str:
        if may_still_reveal(standing, self.conditions.now()):
            return "our contribution stands and may still be revealed"
        if is_ours(standing):
            return "the task is completed with our result"
        if _has_revealed(standing) and not self.over(standing):
            # A pool that is asked does not list it while another worker uploads.
            return "our reveal stands, and the result may still be asked for"
        if self.over(standing) or not _GIVEN_UP.isdisjoint(task.record.told):
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

    def over(self, standing: Standing) -> bool:
        """True iff the chain shows that this task cannot give us any work any more."""
        now, onchain = self.conditions.now(), standing.task
        if onchain.status in (TaskStatus.FAILED, TaskStatus.COMPLETED):
            return True
        if now >= onchain.final_deadline:
            return True
        contributed = standing.contribution.status is not ContributionStatus.UNSET
        if onchain.status is TaskStatus.REVEALING:
            ours = standing.contribution
            # A pool that is asked just then still wants a reveal of everybody who contributed.
            without_us = onchain.consensus_value != ours.result_hash
            return without_us or ours.status is ContributionStatus.REJECTED
        return now >= onchain.contribution_deadline and not contributed


def can_contribute(standing: Standing) -> bool:
    """True while a contribution of ours would be taken: the task is ACTIVE and has none."""
    unset = standing.contribution.status is ContributionStatus.UNSET
    return unset and standing.task.status is TaskStatus.ACTIVE


def may_still_reveal(standing: Standing, now: float) -> bool:
    """True while our contribution is in the consensus, or may come to be, and can be revealed."""
    if standing.contribution.status is not ContributionStatus.CONTRIBUTED:
        return False
    onchain = standing.task
    if onchain.status is TaskStatus.ACTIVE:
        return now < onchain.final_deadline
    agreed = onchain.consensus_value == standing.contribution.result_hash
    return onchain.status is TaskStatus.REVEALING and agreed and now < onchain.reveal_deadline


def is_ours(standing: Standing) -> bool:
    """True iff the task is completed with our result, whoever ended it."""
    return _is_completed(standing) and _has_revealed(standing)


def _may_reveal(standing: Standing) -> bool:
    return standing.task.status is TaskStatus.REVEALING and (
        standing.contribution.status is ContributionStatus.CONTRIBUTED
    )


def _has_revealed(standing: Standing) -> bool:
    return standing.contribution.status is ContributionStatus.PROVED


def _is_completed(standing: Standing) -> bool:
    return standing.task.status is TaskStatus.COMPLETED


def overdue(task: Task, standing: Standing, now: float) -> Action | None:
    """
    What the chain alone tells a waiting replicate to do; None: go on waiting.

    This is how a lost notification does no harm.
    """
    if standing.task.status is TaskStatus.COMPLETED:
        ours = Status.REVEALED in task.record.told or is_ours(standing)
        return Action.PLEASE_COMPLETE if ours else Action.PLEASE_ABORT
    if may_still_reveal(standing, now) and standing.task.status is TaskStatus.REVEALING:
        return Action.PLEASE_REVEAL
    return None


def abort_cause(standing: Standing, now: float) -> Cause:
    """The cause that the chain shows for an end nobody announced."""
    if standing.task.status is TaskStatus.REVEALING:
        return Cause.CONSENSUS_REACHED
    late = standing.task.status is TaskStatus.ACTIVE and now >= standing.task.contribution_deadline
    return Cause.CONTRIBUTION_TIMEOUT if late else Cause.UNKNOWN
