"""Whether a token may be given, and whether an upload is the result that was revealed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio
from attrs import frozen

from iexec_worker.devpool.chain.hashing import concat_and_hash, signed_prefixed
from iexec_worker.devpool.chain.tags import framework_of
from iexec_worker.devpool.results.digest import BadArchive, digest
from iexec_worker.model import ZERO_ADDRESS, ContributionStatus, TaskStatus

if TYPE_CHECKING:
    from iexec_worker.devpool.chain.onchain import PoolContribution, PoolDeal, PoolTask
    from iexec_worker.devpool.permits import Permit
    from iexec_worker.devpool.scheduler.ports import Chain


@frozen
class Upload:
    """A `ResultModel` as the owner of a token sends it; *digest* counts for TEE tasks only."""

    wallet: str
    chain_task_id: str
    archive: bytes
    digest: str = ""
    enclave_signature: str = ""


async def refuse_token(
    chain: Chain, permit: Permit, signature: str, version: tuple[int, ...]
) -> str | None:
    """Why no token is given; None: it is."""
    if not signed_prefixed(permit.hash, signature, permit.wallet):
        return "not signed by the worker"
    task = await chain.task(permit.chain_task_id)
    if task is None or time.time() > task.final_deadline:
        return "no such task, or too late"
    deal = await chain.deal(task.deal_id)
    if deal is None:
        return "no such deal"
    return _refuse_deal(deal, permit, version)


def _refuse_deal(deal: PoolDeal, permit: Permit, version: tuple[int, ...]) -> str | None:
    is_tee = framework_of(deal.tag, version) is not None
    if (permit.enclave_challenge != ZERO_ADDRESS) != is_tee:
        return "an enclave challenge exactly for TEE tasks"
    if not signed_prefixed(permit.hash, permit.signature, deal.workerpool.owner):
        return "not signed by the owner of the pool"
    return None


async def refuse_upload(
    chain: Chain, upload: Upload, permit: Permit | None, version: tuple[int, ...]
) -> str | None:
    """
    Why *upload* is not the task's result; None: it is.

    Of a standard task it is what the wallet revealed. Of a TEE task it is what the enclave signed
    that *permit* is for: the archive may be encrypted, and nobody looks into it.
    """
    task = await chain.task(upload.chain_task_id)
    deal = await chain.deal(task.deal_id) if task else None
    if task is None or deal is None:
        return "no such task"
    if framework_of(deal.tag, version) is not None:
        return _refuse_enclave(upload, permit, task, deal)
    if task.status is not TaskStatus.REVEALING:
        return f"the task is {task.status.name}, not REVEALING"
    contribution = await chain.contribution(upload.chain_task_id, upload.wallet)
    if contribution.status is not ContributionStatus.PROVED:
        return "the contribution is not revealed"
    return await trio.to_thread.run_sync(_refuse_archive, upload, contribution)


def _refuse_enclave(
    upload: Upload, permit: Permit | None, task: PoolTask, deal: PoolDeal
) -> str | None:
    if task.status is not TaskStatus.ACTIVE:
        return f"the task is {task.status.name}, not ACTIVE"
    if upload.wallet == deal.requester:
        return None
    if permit is None:
        return "no token was asked for this task"
    try:
        hashed = concat_and_hash(upload.chain_task_id, upload.digest)
        sealed = concat_and_hash(upload.wallet, upload.chain_task_id, upload.digest)
    except ValueError:
        return f"{upload.digest!r} is no digest"
    message = concat_and_hash(hashed, sealed)
    if not signed_prefixed(message, upload.enclave_signature, permit.enclave_challenge):
        return "not signed by the enclave"
    return None


def _refuse_archive(upload: Upload, contribution: PoolContribution) -> str | None:
    try:
        computed = digest(upload.archive)
    except BadArchive as reason:
        return f"no digest: {reason}"
    if concat_and_hash(upload.chain_task_id, computed) != contribution.result_hash:
        return f"the digest {computed} is not what was contributed"
    return None
