"""Which of PoCo's rules a call breaks: the contract reverts without a word. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.chain.calls import Kind
from iexec_worker.model import ZERO_HASH, ContributionStatus, TaskStatus

if TYPE_CHECKING:
    from iexec_worker.chain.calls import Call
    from iexec_worker.model import Account, Contribution, OnchainTask

#: What cannot be read is the signatures: the authorization may not be by the pool's owner.
UNKNOWN: Final = "no reason given; what can be read holds, perhaps a signature is not accepted"


@frozen
class Facts:
    """What PoCo looks at. *stake* is what the deal asks (nRLC), *now* the latest block's time."""

    task: OnchainTask
    contribution: Contribution
    account: Account
    stake: int
    now: int


def failed(call: Call, facts: Facts) -> str:
    """The first rule that *facts* break, in the order of the contract."""
    if facts.task.deal_id == ZERO_HASH:
        return "the task is not on-chain"
    rules = _reveal if call.kind is Kind.REVEAL else _contribute
    return rules(call, facts) or UNKNOWN


def _contribute(call: Call, facts: Facts) -> str:
    task, ours = facts.task, facts.contribution.status
    if task.status is not TaskStatus.ACTIVE:
        return f"the task is {task.status.name}, not ACTIVE"
    if facts.now >= task.contribution_deadline:
        return f"the contribution deadline passed {facts.now - task.contribution_deadline} s ago"
    if ours is not ContributionStatus.UNSET:
        return f"a contribution of ours is there ({ours.name})"
    if call.kind is not Kind.CONTRIBUTE:
        return "somebody contributed before" if task.contributors else ""
    if facts.account.stake < facts.stake:
        return f"the deposit has {facts.account.stake} nRLC free, the deal asks for {facts.stake}"
    return ""


def _reveal(call: Call, facts: Facts) -> str:
    task, ours = facts.task, facts.contribution
    if task.status is not TaskStatus.REVEALING:
        return f"the task is {task.status.name}, not REVEALING"
    if facts.now >= task.reveal_deadline:
        return f"the reveal deadline passed {facts.now - task.reveal_deadline} s ago"
    if ours.status is not ContributionStatus.CONTRIBUTED:
        return f"our contribution is {ours.status.name}, not CONTRIBUTED"
    if ours.result_hash != task.consensus_value:
        return "our result is not the consensus"
    if ours.result_hash != call.result_hash:
        return "the digest is not the one we contributed"
    return ""
