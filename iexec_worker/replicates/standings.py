"""What follows from how a task of ours stands on-chain. Sans-IO; times in seconds (wall clock)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from iexec_worker.stages.conditions import Standing
    from iexec_worker.stages.task import Task


def over(standing: Standing, now: float) -> bool:
    """True iff the chain shows that this task cannot give us any work any more."""
    onchain, ours = standing.task, standing.contribution
    if onchain.status in (TaskStatus.FAILED, TaskStatus.COMPLETED):
        return True
    if now >= onchain.final_deadline:
        return True
    if onchain.status is TaskStatus.REVEALING:
        # A pool that is asked just then still wants a reveal of everybody who contributed.
        without_us = onchain.consensus_value != ours.result_hash
        return without_us or ours.status is ContributionStatus.REJECTED
    return now >= onchain.contribution_deadline and ours.status is ContributionStatus.UNSET


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
    return is_completed(standing) and has_revealed(standing)


def may_reveal(standing: Standing) -> bool:
    """True iff the chain shows a contribution of ours that may be revealed now."""
    return standing.task.status is TaskStatus.REVEALING and (
        standing.contribution.status is ContributionStatus.CONTRIBUTED
    )


def has_revealed(standing: Standing) -> bool:
    """True iff our reveal was mined."""
    return standing.contribution.status is ContributionStatus.PROVED


def is_completed(standing: Standing) -> bool:
    """True iff the task is completed, by whomever."""
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
