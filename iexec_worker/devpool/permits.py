"""A workerpool authorization as workers present it to the pool's services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from iexec_worker.devpool.chain.hashing import concat_and_hash

if TYPE_CHECKING:
    from collections.abc import Mapping


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
