"""The permission to contribute that comes with every offer and every recovery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iexec_worker.devpool.chain.hashing import concat_and_hash

if TYPE_CHECKING:
    from iexec_worker.devpool.scheduler.ports import Chain
    from iexec_worker.devpool.scheduler.state import Task


def authorize(chain: Chain, task: Task, wallet: str, version: tuple[int, ...]) -> dict[str, Any]:
    """The signed `WorkerpoolAuthorization` for *wallet*, as that version words it."""
    hashed = concat_and_hash(wallet, task.chain_task_id, task.enclave_challenge)
    newer = {"dealId": task.deal.deal_id, "taskIndex": task.index} if version >= (9,) else {}
    return {
        "chainTaskId": task.chain_task_id,
        **newer,
        "workerWallet": wallet,
        "enclaveChallenge": task.enclave_challenge,
        "signature": {"value": chain.sign_prefixed(hashed)},
    }
