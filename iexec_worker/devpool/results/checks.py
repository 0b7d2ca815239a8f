"""Whether a token may be given, and whether an upload is the result that was revealed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from iexec_worker.devpool.hashing import concat_and_hash, signed_prefixed
from iexec_worker.devpool.results.digest import BadArchive, digest
from iexec_worker.devpool.scheduler.answers import is_tee
from iexec_worker.model import ZERO_ADDRESS, ContributionStatus, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.devpool.onchain import PoolContribution, PoolDeal
    from iexec_worker.devpool.scheduler.ports import Chain


@frozen
class Permit:
    """A `WorkerpoolAuthorization` as a worker presents it."""

    wallet: str
    chain_task_id: str
    enclave_challenge: str
    signature: str

    @property
    def hash(self) -> str:
        """What the pool's owner and the worker sign."""
        return concat_and_hash(self.wallet, self.chain_task_id, self.enclave_challenge)


def read_permit(body: Mapping[str, Any]) -> Permit | None:
    """Read a permit; None when something is missing or no hex."""
    signature = body.get("signature")
    permit = Permit(
        str(body.get("workerWallet") or ""),
        str(body.get("chainTaskId") or ""),
        str(body.get("enclaveChallenge") or ""),
        str(signature.get("value") if isinstance(signature, dict) else ""),
    )
    try:
        _ = permit.hash
    except ValueError:
        return None
    return permit


async def refuse_token(chain: Chain, permit: Permit, signature: str) -> str | None:
    """Why no token is given; None: it is."""
    if not signed_prefixed(permit.hash, signature, permit.wallet):
        return "not signed by the worker"
    task = await chain.task(permit.chain_task_id)
    if task is None or time.time() > task.final_deadline:
        return "no such task, or too late"
    deal = await chain.deal(task.deal_id)
    if deal is None:
        return "no such deal"
    return _refuse_deal(deal, permit)


def _refuse_deal(deal: PoolDeal, permit: Permit) -> str | None:
    if (permit.enclave_challenge != ZERO_ADDRESS) != is_tee(deal.tag):
        return "an enclave challenge exactly for TEE tasks"
    if not signed_prefixed(permit.hash, permit.signature, deal.workerpool.owner):
        return "not signed by the owner of the pool"
    return None


async def refuse_upload(
    chain: Chain, wallet: str, chain_task_id: str, archive: bytes
) -> str | None:
    """Why *archive* is not the result *wallet* revealed; None: it is."""
    task = await chain.task(chain_task_id)
    deal = await chain.deal(task.deal_id) if task else None
    if task is None or deal is None:
        return "no such task"
    if is_tee(deal.tag):
        return "results of TEE tasks are not taken by this pool"
    if task.status is not TaskStatus.REVEALING:
        return f"the task is {task.status.name}, not REVEALING"
    contribution = await chain.contribution(chain_task_id, wallet)
    if contribution.status is not ContributionStatus.PROVED:
        return "the contribution is not revealed"
    return await trio.to_thread.run_sync(_refuse_archive, chain_task_id, contribution, archive)


def _refuse_archive(
    chain_task_id: str, contribution: PoolContribution, archive: bytes
) -> str | None:
    try:
        computed = digest(archive)
    except BadArchive as reason:
        return f"no digest: {reason}"
    if concat_and_hash(chain_task_id, computed) != contribution.result_hash:
        return f"the digest {computed} is not what was contributed"
    return None
