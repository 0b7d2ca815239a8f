"""The transactions of a worker, ready to be signed. Sans-IO."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.chain import abi
from iexec_worker.chain.gas import CONTRIBUTE_GAS, REVEAL_GAS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.chain.transactions.signed import SignedTx
    from iexec_worker.model import Authorization

#: The label of the contribution that ends its task; the others' are `contribute` and `reveal`.
FINALIZE: Final = "contributeAndFinalize"


@frozen
class Call:
    """
    A call of the hub that is to become a transaction.

    It has succeeded when the contract *to* logged *event_topic* for *task_id*. *digest* or
    *result_hash* is what it shows of the result; *label* is for people.
    """

    to: str
    data: str
    gas: int
    task_id: str
    event_topic: str
    label: str
    result_hash: str = ""

    def __str__(self) -> str:
        return f"{self.label} of task {self.task_id}"


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
    topic = abi.TASK_CONTRIBUTE
    return Call(hub, data, CONTRIBUTE_GAS, task_id, topic, "contribute", result_hash)


def reveal(hub: str, task_id: str, digest: str, result_hash: str) -> Call:
    """Show the *digest* behind a contribution."""
    data = abi.REVEAL.encode(task_id, digest)
    return Call(hub, data, REVEAL_GAS, task_id, abi.TASK_REVEAL, "reveal", result_hash)


_EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "contribute": abi.TASK_CONTRIBUTE,
        "reveal": abi.TASK_REVEAL,
        FINALIZE: abi.TASK_FINALIZE,
    }
)


def again(label: str, task_id: str, signed: SignedTx) -> Call:
    """Find the call in a transaction that was signed for it."""
    return Call(signed.to, signed.data, signed.gas, task_id, _EVENTS[label], label)
