"""The hub's rules for the one task of a run; with trust 1 the first contribution is agreed on."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen
from eth_abi.abi import decode, encode

from iexec_worker.chain import abi, commitments
from iexec_worker.chain.wallet import Wallet
from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, ContributionStatus, TaskStatus
from tests.chaos.clockwork import EPOCH

if TYPE_CHECKING:
    from collections.abc import Callable

HUB: Final = "0x" + 40 * "b"
POOL: Final = "0x" + 40 * "9"
#: The pool's owner, who signs authorizations.
OWNER: Final = Wallet.from_key("0x" + 64 * "2")
DEAL: Final = "0x" + 64 * "d"
TASK: Final = commitments.task_id(DEAL, 0)
#: The enclave of a trusted task.
ENCLAVE: Final = Wallet.from_key("0x" + 64 * "4")
IMAGE: Final = "registry.test/app:1"
PARAMS: Final = '{"iexec_result_storage_provider": "ipfs"}'
FILES_URL: Final = "http://files.test"
#: With an input file: of a trusted task, something for its pre-compute.
INPUT_PARAMS: Final = json.dumps(json.loads(PARAMS) | {"iexec_input_files": [f"{FILES_URL}/input"]})

#: Seconds: the category's time reference.
PERIOD: Final = 300
STAKE: Final = 5
#: That of each contribution.
WEIGHT: Final = 2

#: What a transaction does: the topic of its event, and the change of the state.
Effect = tuple[str, "Callable[[], None]"]


class Revert(Exception):
    """Raised for a call that breaks a rule."""


@frozen
class At:
    """The block that a transaction is in."""

    block: int
    time: int


@frozen
class Deal:
    """What a run's task is asked to be; *tag*: where it computes."""

    trust: int = 1
    params: str = PARAMS
    callback: str = ZERO_ADDRESS
    tag: str = ZERO_HASH

    @property
    def trusted(self) -> bool:
        """True iff it computes in an enclave."""
        return self.tag != ZERO_HASH


STANDARD: Final = Deal()


@frozen
class Contribution:
    """One wallet's part in the task."""

    status: ContributionStatus = ContributionStatus.UNSET
    result_hash: str = ZERO_HASH
    seal: str = ZERO_HASH


@define(eq=False)
class Contracts:
    """The state of the task that *deal* asks for."""

    deal: Deal = STANDARD
    status: TaskStatus = TaskStatus.ACTIVE
    start: int = EPOCH
    consensus: str = ZERO_HASH
    #: Block in which the consensus was reached.
    consensus_block: int | None = None
    reveal_deadline: int = 0
    contributions: dict[str, Contribution] = field(factory=dict)
    results: bytes = b""
    #: What the callback was called with.
    received: bytes = b""
    digest: str = ZERO_HASH
    #: nRLC that each worker has free.
    deposit: int = 100

    @property
    def contribution_deadline(self) -> int:
        return self.start + 7 * PERIOD

    @property
    def final_deadline(self) -> int:
        return self.start + 10 * PERIOD

    def of(self, wallet: str) -> Contribution:
        """Return the contribution of *wallet*."""
        return self.contributions.get(wallet, Contribution())

    def winners(self) -> int:
        """Return how many contributed what was agreed on."""
        agreed = self.status > TaskStatus.ACTIVE
        return agreed * sum(c.result_hash == self.consensus for c in self.contributions.values())

    def revealed(self) -> int:
        """Return how many have revealed."""
        return sum(c.status is ContributionStatus.PROVED for c in self.contributions.values())

    def call(self, sender: str, data: bytes, at: At) -> Effect:
        """Return what a transaction will do; raises `Revert`."""
        rules = {
            abi.CONTRIBUTE: self._contribute,
            abi.REVEAL: self._reveal,
            abi.CONTRIBUTE_AND_FINALIZE: self._finalize,
        }
        function = next(found for found in rules if data.startswith(found.selector))
        return rules[function](sender, at, decode(function.inputs, data[4:]))

    def contribute(self, sender: str, result_hash: str, seal: str, at: At) -> None:
        """Take a contribution, and with it the consensus when enough agree."""
        self.contributions[sender] = Contribution(ContributionStatus.CONTRIBUTED, result_hash, seal)
        groups = Counter(c.result_hash for c in self.contributions.values())
        total = 1 + sum(WEIGHT**count for count in groups.values())
        if WEIGHT ** groups[result_hash] * self.deal.trust > total * (self.deal.trust - 1):
            self.status, self.consensus = TaskStatus.REVEALING, result_hash
            self.consensus_block, self.reveal_deadline = at.block, at.time + 2 * PERIOD

    def _contribute(self, sender: str, at: At, arguments: tuple[Any, ...]) -> Effect:
        task, result_hash, seal, challenge, enclave, signature = arguments
        _require(_hex(task) == TASK and self.status is TaskStatus.ACTIVE)
        _require(at.time < self.contribution_deadline and self.deposit >= STAKE)
        _require(self.of(sender).status is ContributionStatus.UNSET)
        signed = commitments.authorization_hash(sender, TASK, challenge)
        _require(commitments.recover_prefixed(signed, _hex(signature)) == OWNER.address)
        hashes = _hex(result_hash), _hex(seal)
        self._require_enclave(challenge, commitments.concat_and_hash(*hashes), enclave)
        return abi.TASK_CONTRIBUTE, lambda: self.contribute(sender, *hashes, at)

    def _finalize(self, sender: str, at: At, arguments: tuple[Any, ...]) -> Effect:
        task, digest, results, callback, challenge, enclave, signature = arguments
        shown = _hex(digest)
        _require(_hex(task) == TASK and self.status is TaskStatus.ACTIVE)
        _require(at.time < self.contribution_deadline and not self.contributions and not callback)
        signed = commitments.authorization_hash(sender, TASK, challenge)
        _require(commitments.recover_prefixed(signed, _hex(signature)) == OWNER.address)
        hashes = (
            commitments.result_hash(TASK, shown),
            commitments.result_seal(sender, TASK, shown),
        )
        self._require_enclave(challenge, commitments.concat_and_hash(*hashes), enclave)

        def end() -> None:
            self.contribute(sender, *hashes, at)
            self.contributions[sender] = Contribution(ContributionStatus.PROVED, *hashes)
            self.status, self.results, self.digest = TaskStatus.COMPLETED, results, shown

        return abi.TASK_FINALIZE, end

    def _require_enclave(self, challenge: str, signed: str, signature: bytes) -> None:
        expected = ENCLAVE.address if self.deal.trusted else ZERO_ADDRESS
        _require(challenge == expected)
        if self.deal.trusted:
            _require(commitments.recover_prefixed(signed, _hex(signature)) == ENCLAVE.address)

    def _reveal(self, sender: str, at: At, arguments: tuple[Any, ...]) -> Effect:
        task, digest = arguments
        ours, shown = self.of(sender), _hex(digest)
        _require(_hex(task) == TASK and self.status is TaskStatus.REVEALING)
        _require(at.time < self.reveal_deadline and ours.status is ContributionStatus.CONTRIBUTED)
        _require(ours.result_hash == self.consensus == commitments.result_hash(TASK, shown))
        _require(ours.seal == commitments.result_seal(sender, TASK, shown))

        def prove() -> None:
            self.contributions[sender] = Contribution(
                ContributionStatus.PROVED, ours.result_hash, ours.seal
            )
            self.digest = shown

        return abi.TASK_REVEAL, prove

    def view(self, data: bytes) -> str:
        """Answer a question; raises `Revert`."""
        function = _VIEWS.get(data[:4])
        _require(function is not None)
        assert function is not None
        return _encoded(function, self._values(function, *decode(function.inputs, data[4:])))

    def _values(self, function: abi.Function, *arguments: Any) -> tuple[Any, ...]:  # noqa: ANN401
        match function.name:
            case "viewTaskABILegacy":
                return self._task()
            case "viewDeal":
                return (self._deal(),)
            case "viewContribution":
                ours = self.of(arguments[1].lower())
                hashes = _bytes(ours.result_hash), _bytes(ours.seal)
                return ((ours.status.value, *hashes, ZERO_ADDRESS, WEIGHT),)
            case "viewAccount":
                return ((self.deposit, 0),)
        return _FIXED[function.name]

    def _deal(self) -> tuple[Any, ...]:
        deal = self.deal
        return (
            *(_APP, _NOBODY, (POOL, OWNER.address, 0), deal.trust, 0, _bytes(deal.tag)),
            *(ZERO_ADDRESS, ZERO_ADDRESS, deal.callback, deal.params),
            *(EPOCH, 0, 1, STAKE, 0, ZERO_ADDRESS),
        )

    def _task(self) -> tuple[Any, ...]:
        return (
            *(self.status.value, _bytes(DEAL), 0, PERIOD),
            *(self.contribution_deadline, self.reveal_deadline, self.final_deadline),
            *(_bytes(self.consensus), self.revealed(), self.winners()),
            *(tuple(self.contributions), self.results),
        )


def _require(condition: bool) -> None:
    if not condition:
        raise Revert


def _hex(raw: bytes) -> str:
    return "0x" + raw.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@cache
def _encoded(function: abi.Function, values: tuple[Any, ...]) -> str:
    return "0x" + encode(function.outputs, values).hex()


_NOBODY: Final = (ZERO_ADDRESS, ZERO_ADDRESS, 0)
_APP: Final = ("0x" + 40 * "a", ZERO_ADDRESS, 0)
_ZERO: Final = _bytes(ZERO_HASH)
_FIXED: Final[dict[str, tuple[Any, ...]]] = {
    "viewCategory": (("XS", "", PERIOD),),
    "viewApp": ((OWNER.address, "app", "DOCKER", IMAGE.encode(), _ZERO, b""),),
    "owner": (OWNER.address,),
    "callbackgas": (100_000,),
}
_VIEWS: Final = {
    function.selector: function
    for function in (
        abi.VIEW_TASK,
        abi.VIEW_DEAL,
        abi.VIEW_CATEGORY,
        abi.VIEW_APP,
        abi.VIEW_CONTRIBUTION,
        abi.VIEW_ACCOUNT,
        abi.CALLBACK_GAS,
        abi.OWNER,
    )
}
