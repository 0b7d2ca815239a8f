"""What an enclave signs so that the hub takes its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iexec_worker.chain import commitments
from iexec_worker.errors import StageFailed
from iexec_worker.model import ZERO_ADDRESS
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.model import Authorization, ComputedFile


def require_enclave_signature(computed: ComputedFile, ours: Authorization) -> None:
    """
    Raise `StageFailed` unless the enclave of the authorization *ours* has signed *computed*.

    A task without an enclave challenge needs no signature.
    """
    if ours.enclave_challenge == ZERO_ADDRESS:
        return
    signed = commitments.enclave_hash(
        ours.worker_wallet, ours.chain_task_id, computed.result_digest
    )
    try:
        signer = commitments.recover_prefixed(signed, computed.enclave_signature)
    except ValueError as error:
        raise StageFailed(Cause.ENCLAVE_SIGNATURE_NOT_FOUND, str(error)) from error
    if signer.lower() != ours.enclave_challenge.lower():
        raise StageFailed(
            Cause.ENCLAVE_SIGNATURE_NOT_FOUND,
            f"the result is signed by {signer}, the task's enclave is {ours.enclave_challenge}",
        )
