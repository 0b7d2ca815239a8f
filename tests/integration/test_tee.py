"""
Every way in which a TEE task ends, in each framework: what is told, what is on-chain.

The kinds of input are spread so that each meets each framework and each outcome.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from attrs import frozen

from iexec_worker.model import ZERO_HASH, ContributionStatus, TaskStatus, TeeFramework
from iexec_worker.wire import Status
from tests.integration import evidence
from tests.integration.house import MISSING
from tests.integration.shop import Dataset, Order, Trusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.integration.shop import Bought, Ended

# The first of them waits for the images, and for all tasks before its own.
pytestmark = pytest.mark.timeout(330)

S = Status
F = TeeFramework

STARTED: Final = [S.STARTING, S.STARTED]
DATA: Final = [
    *STARTED,
    *(S.APP_DOWNLOADING, S.APP_DOWNLOADED, S.DATA_DOWNLOADING, S.DATA_DOWNLOADED),
]
COMPUTED: Final = [*DATA, S.COMPUTING, S.COMPUTED]
COMPLETED: Final = [
    *COMPUTED,
    *(S.CONTRIBUTE_AND_FINALIZE_ONGOING, S.CONTRIBUTE_AND_FINALIZE_DONE),
    *(S.COMPLETING, S.COMPLETED),
]

ALL: Final = (F.SCONE, F.GRAMINE, F.TDX)
SGX: Final = (F.SCONE, F.GRAMINE)

#: Kinds of input; every one of them but the first needs a pre-compute.
INPUTS: Final = ("none", "dataset", "files", "bulk")

GB: Final = 1024**3


@frozen
class Outcome:
    """
    How a task is to end: *told* ends with its failure, of *cause*.

    *pre*: what its input orders of the pre-compute. *more*: fields of the order. *once*: neither
    framework nor kind of input matters.
    """

    name: str
    told: list[Status]
    cause: str = ""
    frameworks: tuple[TeeFramework, ...] = ALL
    pre: str = ""
    args: str = "hello 'big world'"
    enclave: tuple[tuple[str, Any], ...] = ()
    more: Mapping[str, Any] = MappingProxyType({})
    once: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The kinds of input with which it can come about."""
        return INPUTS[1:] if self.pre else INPUTS

    def order(self, framework: TeeFramework, kind: str, mark: str) -> Order:
        """A task that ends so; *mark* makes its input its own."""
        content = f"{self.pre or 'some data'}\n{mark}\n".encode()
        second = f"more\n{mark}\n".encode()
        bulk = (content, second) if kind == "bulk" else ()
        order = Order(
            self.args,
            image="trusted",
            dataset=Dataset(content) if kind == "dataset" else None,
            inputs=(content, second) if kind == "files" else (),
            trusted=Trusted(framework, bulk, self.enclave),
        )
        return attrs.evolve(order, **self.more)


UNSTARTED: Final = [S.STARTING, S.START_FAILED, S.ABORTED]
UNCOMPUTED: Final = [*DATA, S.COMPUTING, S.COMPUTE_FAILED, S.ABORTED]

TWO_OF_PRE: Final = "PRE_COMPUTE_DATASET_DECRYPTION_FAILED,PRE_COMPUTE_FAILED_UNKNOWN_ISSUE"
TWO_OF_POST: Final = "POST_COMPUTE_ENCRYPTION_FAILED,POST_COMPUTE_FAILED_UNKNOWN_ISSUE"

OUTCOMES: Final = (
    Outcome("success", COMPLETED),
    Outcome(
        "pre-exits-1",
        UNCOMPUTED,
        "PRE_COMPUTE_DATASET_DECRYPTION_FAILED",
        pre=f"pre-compute: causes={TWO_OF_PRE}",
    ),
    Outcome(
        "pre-exits-2", UNCOMPUTED, "PRE_COMPUTE_EXIT_REPORTING_FAILED", pre="pre-compute: exit=2"
    ),
    Outcome("pre-exits-3", UNCOMPUTED, "PRE_COMPUTE_TASK_ID_MISSING", pre="pre-compute: exit=3"),
    Outcome(
        "pre-runs-too-long",
        UNCOMPUTED,
        "PRE_COMPUTE_TIMEOUT",
        pre="pre-compute: sleep=600",
        more={"seconds": 5},
    ),
    Outcome(
        "post-exits-1",
        UNCOMPUTED,
        "POST_COMPUTE_ENCRYPTION_FAILED",
        args=f"post:causes={TWO_OF_POST}",
    ),
    Outcome(
        "causes-in-the-form-of-9.1",
        UNCOMPUTED,
        "PRE_COMPUTE_DATASET_DECRYPTION_FAILED",
        pre=f"pre-compute: form=9.1 causes={TWO_OF_PRE}",
        once=True,
    ),
    Outcome(
        "causes-told-by-another",
        UNCOMPUTED,
        "PRE_COMPUTE_EXIT_REPORTING_FAILED",
        pre=f"pre-compute: authorize=other causes={TWO_OF_PRE}",
        once=True,
    ),
    Outcome(
        "result-without-a-digest",
        UNCOMPUTED,
        "POST_COMPUTE_SEND_COMPUTED_FILE_FAILED",
        args=f"post:upload=no post:digest={ZERO_HASH}",
        frameworks=(F.TDX,),
        once=True,
    ),
    Outcome(
        "result-of-another-task",
        UNCOMPUTED,
        "POST_COMPUTE_SEND_COMPUTED_FILE_FAILED",
        args=f"post:upload=no post:task={ZERO_HASH}",
        frameworks=(F.GRAMINE,),
        once=True,
    ),
    # The second time nobody listens any more.
    Outcome("result-told-twice", COMPLETED, args="hello post:send=2", once=True),
    Outcome(
        "wrong-enclave-signature",
        [
            *COMPUTED,
            *(S.CONTRIBUTE_AND_FINALIZE_ONGOING, S.CONTRIBUTE_AND_FINALIZE_FAILED, S.ABORTED),
        ],
        "ENCLAVE_SIGNATURE_NOT_FOUND",
        args="post:sign=other",
    ),
    Outcome(
        "missing-image",
        UNSTARTED,
        "GET_TEE_SERVICES_CONFIGURATION_FAILED",
        frameworks=SGX,
        enclave=(("version", MISSING),),
    ),
    Outcome(
        "missing-image-of-a-session",
        UNCOMPUTED,
        "PRE_COMPUTE_IMAGE_MISSING",
        frameworks=(F.TDX,),
        pre="some data",
        enclave=(("version", MISSING),),
    ),
    Outcome(
        "heap-too-large",
        UNSTARTED,
        "PRE_COMPUTE_INVALID_ENCLAVE_HEAP_CONFIGURATION",
        frameworks=SGX,
        enclave=(("heap", 1000 * GB),),
    ),
    Outcome(
        "invalid-enclave-configuration",
        UNSTARTED,
        "PRE_COMPUTE_INVALID_ENCLAVE_CONFIGURATION",
        frameworks=SGX,
        enclave=(("fingerprint", "not hexadecimal"),),
    ),
    Outcome(
        "refused-session",
        UNSTARTED,
        "TEE_SESSION_GENERATION_POST_COMPUTE_GET_ENCRYPTION_TOKENS_FAILED_EMPTY_BENEFICIARY_KEY",
        more={"more": (("iexec_result_encryption", True),)},
    ),
)


def rows() -> Iterator[Any]:
    """Each outcome in each framework and with each kind of input that it can come about with."""
    for number, outcome in enumerate(OUTCOMES):
        frameworks, inputs = outcome.frameworks, outcome.inputs
        for turn in range(1 if outcome.once else max(len(frameworks), len(inputs))):
            framework = frameworks[turn % len(frameworks)]
            kind = inputs[(number + turn) % len(inputs)]
            mark = f"{outcome.name} {turn}"
            order = outcome.order(framework, kind, mark)
            yield pytest.param(
                None,
                outcome,
                id=f"{outcome.name}-{framework.name.lower()}-{kind}",
                marks=pytest.mark.buys(order),
            )


@pytest.mark.parametrize(("ended", "outcome"), tuple(rows()), indirect=["ended"])
def test_a_tee_task(ended: Ended, outcome: Outcome) -> None:
    # A pool that is asked after another task takes no STARTING of what it has just given.
    assert [
        S.STARTING,
        *(status for status in ended.told if status is not S.STARTING),
    ] == outcome.told
    if not outcome.cause:
        completed(ended)
        return
    assert ended.cause(outcome.told[-2]) == outcome.cause
    assert ended.onchain.status is TaskStatus.ACTIVE
    assert ended.contribution.status is ContributionStatus.UNSET


def completed(ended: Ended) -> None:
    """Assert that the worker ended the task itself, with the result that post-compute stored."""
    assert ended.onchain.status is TaskStatus.COMPLETED
    assert ended.contribution.status is ContributionStatus.PROVED
    link = f'{{ "storage": "ipfs", "location": "/ipfs/{ended.stored_as}" }}'
    assert ended.onchain.results.decode() == link
    done = ended.update(S.CONTRIBUTE_AND_FINALIZE_DONE).details
    assert done["resultLink"] == link
    assert done["chainReceipt"]["blockNumber"] > 0
    assert ended.onchain.result_digest == evidence.digest_of(ended.files)
    first, *lines = ended.files["result.txt"].decode().splitlines()
    assert first == "task index: 0 of 1"
    arguments = [line for line in lines if line.startswith("argument: ")]
    assert arguments[0] == "argument: [hello]"
    assert len(arguments) == 2
    assert lines[2:] == list(seen_by_the_app(ended.bought))
    told = ended.update(S.COMPUTED).details
    assert told["exitCode"] == 0
    assert told["computeLogs"]["stdout"] == "done: 2 argument(s)\n"


def seen_by_the_app(bought: Bought) -> Iterator[str]:
    """What the app writes of its input."""
    order = bought.order
    if order.dataset is not None and order.dataset.content is not None:
        yield f"dataset: {sha256(order.dataset.content)}"
    for number, (url, content) in enumerate(zip(bought.inputs, order.inputs, strict=True), 1):
        name = evidence.sha256(url.encode())
        yield f"input {number}: {name} {sha256(content or b'')}"
    for number, content in enumerate(order.trusted.bulk if order.trusted else (), 1):
        yield f"bulk {number}: {sha256(content)}"


def sha256(content: bytes) -> str:
    """As busybox prints it."""
    return f"{hashlib.sha256(content).hexdigest()}  -"
