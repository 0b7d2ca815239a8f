"""The transactions of a worker, ready to be signed. Sans-IO."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.chain import abi
from iexec_worker.chain.gas import CONTRIBUTE_GAS, REVEAL_GAS

if TYPE_CHECKING:
    from iexec_worker.chain.transactions.signed import SignedTx
    from iexec_worker.model import Authorization


class Kind(StrEnum):
    """What a transaction does for its task; a journal has the values."""

    CONTRIBUTE = "contribute"
    REVEAL = "reveal"
    #: The contribution that ends its task.
    FINALIZE = "contributeAndFinalize"

    @property
    def event_topic(self) -> str:
        """The event that the contract logs when it has succeeded."""
        return {
            Kind.CONTRIBUTE: abi.TASK_CONTRIBUTE,
            Kind.REVEAL: abi.TASK_REVEAL,
            Kind.FINALIZE: abi.TASK_FINALIZE,
        }[self]


@frozen
class Call:
    """
    A call of the hub that is to become a transaction.

    It has succeeded when the contract *to* logged the event of its *kind* for *task_id*.
    *result_hash* is what it shows of the result.
    """

    to: str
    data: str
    gas: int
    task_id: str
    kind: Kind
    result_hash: str = ""

    def __str__(self) -> str:
        return f"{self.kind} of task {self.task_id}"


def contribute(
    hub: str,
    task_id: str,
    result_hash: str,
    result_seal: str,
    *,
    authorization: Authorization,
    enclave_signature: str = "",
) -> Call:
    """Commit to a result; an empty *enclave_signature* is right for the zero challenge."""
    data = abi.CONTRIBUTE.encode(
        task_id,
        result_hash,
        result_seal,
        authorization.enclave_challenge,
        enclave_signature,
        authorization.signature,
    )
    return Call(hub, data, CONTRIBUTE_GAS, task_id, Kind.CONTRIBUTE, result_hash)


def reveal(hub: str, task_id: str, digest: str, result_hash: str) -> Call:
    """Show the *digest* behind a contribution."""
    data = abi.REVEAL.encode(task_id, digest)
    return Call(hub, data, REVEAL_GAS, task_id, Kind.REVEAL, result_hash)


def again(kind: Kind, task_id: str, signed: SignedTx) -> Call:
    """Find the call in a transaction that was signed for it."""
    return Call(signed.to, signed.data, signed.gas, task_id, kind)
