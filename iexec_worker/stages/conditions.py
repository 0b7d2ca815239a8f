"""What must hold on-chain before work is done for a task, in the pool's order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.chain import commitments
from iexec_worker.errors import StageFailed, Unavailable
from iexec_worker.model import Account, Contribution, ContributionStatus, OnchainTask, TaskStatus
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.chain.hub import Hub
    from iexec_worker.stages.task import Task


@frozen
class Standing:
    """How a task and we stand on-chain now."""

    task: OnchainTask
    contribution: Contribution
    account: Account

    def contributed(self, result_hash: str) -> bool:
        """True iff a contribution of ours with this very hash is there and was not rejected."""
        return (
            self.contribution.status in (ContributionStatus.CONTRIBUTED, ContributionStatus.PROVED)
            and self.contribution.result_hash == result_hash
        )


@frozen
class Conditions:
    """Reads the standing of a task and checks it; *now* is the wall clock, seconds."""

    hub: Hub
    wallet: str
    pool_address: str
    now: Callable[[], float]

    async def standing(self, task: Task) -> Standing:
        """
        Read task, contribution and deposit at once.

        Raises `Unavailable`, also while the node shows less than we have seen ourselves: to
        believe one that is behind would be to drop a task with our stake in it.
        """
        onchain, contribution, account = await self.hub.contribute_view(task.id, self.wallet)
        standing = Standing(onchain, contribution, account)
        if _is_behind(task, standing) and self.now() < task.description.final_deadline:
            raise Unavailable(f"the node does not show {task.id} as it was: it is behind")
        return standing

    async def check(self, task: Task, *, staking: bool = False) -> Standing:
        """
        Raise `StageFailed` with the first condition that does not hold.

        The stake has to be there for what will be contributed with one. A trusted task is usually
        ended by its one worker, without: *staking* is True where it is not.
        """
        task.node.doing = "checking deposit, status and deadlines on-chain"
        standing = await self.standing(task)
        if task.record.recomputing:
            # Nothing new is begun: what we contributed is made once more, to be revealed.
            return standing
        needed = staking or not task.description.is_finalized_by_us
        stake = task.description.worker_stake if needed else 0
        if standing.account.stake < stake and not _staked(standing):
            raise StageFailed(
                Cause.STAKE_TOO_LOW,
                f"the deposit has {standing.account.stake} nRLC free, the deal asks for {stake}: "
                f"deposit RLC for {self.wallet}",
            )
        if standing.task.status is not TaskStatus.ACTIVE:
            raise StageFailed(Cause.TASK_NOT_ACTIVE, f"it is {standing.task.status.name}")
        if self.now() >= standing.task.contribution_deadline:
            raise StageFailed(Cause.CONTRIBUTION_TIMEOUT, "the contribution deadline has passed")
        if _staked(standing):
            raise StageFailed(Cause.CONTRIBUTION_ALREADY_SET, "a contribution of ours is there")
        return standing

    async def authorized(self, task: Task) -> None:
        """Raise `StageFailed` unless the pool's owner signed the authorization."""
        ours = task.authorization
        signed = commitments.authorization_hash(self.wallet, task.id, ours.enclave_challenge)
        owner = await self.hub.owner(self.pool_address)
        try:
            signer = commitments.recover_prefixed(signed, ours.signature)
        except ValueError as error:
            raise StageFailed(Cause.WORKERPOOL_AUTHORIZATION_NOT_FOUND, str(error)) from error
        if signer.lower() != owner.lower():
            raise StageFailed(
                Cause.WORKERPOOL_AUTHORIZATION_NOT_FOUND,
                f"signed by {signer}, but the pool {self.pool_address} belongs to {owner}",
            )


#: After these a contribution of ours is on-chain.
_CONTRIBUTED: Final = frozenset({Status.CONTRIBUTED, Status.CONTRIBUTE_AND_FINALIZE_DONE})


def _is_behind(task: Task, standing: Standing) -> bool:
    record = task.record
    contributed = not _CONTRIBUTED.isdisjoint(record.told) or record.recomputing
    return (contributed and not _staked(standing)) or standing.task.status is TaskStatus.UNSET


def _staked(standing: Standing) -> bool:
    return standing.contribution.status is not ContributionStatus.UNSET
