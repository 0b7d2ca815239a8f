"""Every way in which a standard task ends: what is told, what is on-chain, what is left."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import pytest

from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Status
from tests.integration import evidence
from tests.integration.shelf import LARGE
from tests.integration.shop import Dataset, Order

if TYPE_CHECKING:
    from tests.backstage import Backstage
    from tests.integration.outcomes import Outcomes
    from tests.integration.shop import Ended

S = Status
buys = pytest.mark.buys

STARTED: Final = [S.STARTING, S.STARTED]
APP: Final = [*STARTED, S.APP_DOWNLOADING, S.APP_DOWNLOADED]
DATA: Final = [*APP, S.DATA_DOWNLOADING, S.DATA_DOWNLOADED]
COMPUTED: Final = [*DATA, S.COMPUTING, S.COMPUTED]
REVEALED: Final = [S.CONTRIBUTING, S.CONTRIBUTED, S.REVEALING, S.REVEALED]
UPLOADED: Final = [S.RESULT_UPLOADING, S.RESULT_UPLOADED, S.COMPLETING, S.COMPLETED]
COMPLETED: Final = [*COMPUTED, *REVEALED, *UPLOADED]


def completed(ended: Ended) -> dict[str, bytes]:
    """Assert that the result is where the chain says and has its digest; returns its files."""
    files = ended.completed()
    link = f'{{ "storage": "ipfs", "location": "/ipfs/{ended.stored_as}" }}'
    assert ended.onchain.results.decode() == link
    assert ended.update(S.RESULT_UPLOADED).details["resultLink"] == link
    assert ended.contribution.status is ContributionStatus.PROVED
    return files


def computed_by(ended: Ended) -> str:
    """What the app wrote, after `completed`."""
    assert ended.told == COMPLETED
    return completed(ended)["result.txt"].decode()


def not_computed(ended: Ended, cause: str) -> None:
    """Assert that the task ended with its computation."""
    assert ended.told == [*DATA, S.COMPUTING, S.COMPUTE_FAILED, S.ABORTED]
    assert ended.cause(S.COMPUTE_FAILED) == cause
    uncontributed(ended)


def uncontributed(ended: Ended) -> None:
    """Assert that nothing of the task reached chain and result proxy."""
    assert ended.onchain.status is TaskStatus.ACTIVE
    assert ended.contribution.status is ContributionStatus.UNSET
    assert ended.archive is None


def error_result(ended: Ended, status: Status, cause: str) -> None:
    """Assert that *status* with *cause* was told and its error result completed the task."""
    before = APP if status is S.DATA_DOWNLOAD_FAILED else STARTED
    step = Status(status.removesuffix("_DOWNLOAD_FAILED") + "_DOWNLOADING")
    assert ended.told == [*before, step, status, *REVEALED, *UPLOADED]
    assert ended.cause(status) == cause
    files = completed(ended)
    assert set(files) == {"computed.json", "error.txt"}
    assert json.loads(files["computed.json"]) == {
        "deterministic-output-path": "/iexec_out/error.txt"
    }
    assert files["error.txt"].decode() == (
        "[IEXEC] Errors occurred while computing the task "
        f"[error:{status}, causes:[WorkflowError[cause={cause}, message=]]]"
    )


@buys(Order("hello world"))
def test_a_plain_task_is_completed(ended: Ended) -> None:
    assert computed_by(ended) == "task index: 0 of 1\nargument: [hello]\nargument: [world]\n"
    assert ended.files["stdout.txt"] == b"done: 2 argument(s)\n"
    assert "stderr.txt" not in ended.files

    told = ended.update(S.COMPUTED).details
    assert told["exitCode"] == 0
    assert told["computeLogs"] == {"stdout": "done: 2 argument(s)\n", "stderr": ""}
    for status in (S.CONTRIBUTED, S.REVEALED):
        receipt = ended.update(status).details["chainReceipt"]
        assert receipt["blockNumber"] > 0
        assert len(receipt["txHash"]) == 66


@buys(Order(r"""one 'two  words' "say \"hi\"" '' end"""))
def test_arguments_keep_their_quotes_as_the_protocol_splits_them(ended: Ended) -> None:
    words = ["one", "two  words", r"say \"hi\"", "end"]
    assert computed_by(ended).splitlines()[1:] == [f"argument: [{word}]" for word in words]


@buys(Order("", inputs=(b"first\n", b"second\n")))
def test_two_input_files_are_named_by_the_hashes_of_their_urls(ended: Ended) -> None:
    names = [evidence.sha256(url.encode()) for url in ended.bought.inputs]
    contents = [hashlib.sha256(content).hexdigest() for content in (b"first\n", b"second\n")]
    assert computed_by(ended).splitlines()[1:] == [
        f"input {n}: {name} {content}  -"
        for n, (name, content) in enumerate(zip(names, contents, strict=True), 1)
    ]


@buys(Order("", dataset=Dataset()))
def test_a_dataset_is_got_by_url(ended: Ended) -> None:
    content = hashlib.sha256(b"a dataset\n").hexdigest()
    assert computed_by(ended).splitlines()[1:] == [f"dataset: {content}  -"]


@buys(Order("", dataset=Dataset(b"of ipfs\n", by="multiaddress")))
def test_a_dataset_is_got_by_its_binary_multiaddress_from_a_gateway(ended: Ended) -> None:
    content = hashlib.sha256(b"of ipfs\n").hexdigest()
    assert computed_by(ended).splitlines()[1:] == [f"dataset: {content}  -"]


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(
            None,
            marks=buys(Order(dataset=Dataset(by=by, checksum=checksum))),
            id=f"{checksum}, by {by}",
        )
        for by in ("url", "multiaddress")
        for checksum in ("bad", "zero")
    ],
    indirect=True,
)
def test_a_dataset_with_another_checksum_or_none_is_an_error_result(ended: Ended) -> None:
    error_result(ended, S.DATA_DOWNLOAD_FAILED, "DATASET_FILE_BAD_CHECKSUM")


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(None, marks=buys(Order(dataset=Dataset(None))), id="nowhere"),
        pytest.param(None, marks=buys(Order(dataset=Dataset(b""))), id="empty"),
    ],
    indirect=True,
)
def test_a_dataset_that_cannot_be_had_is_an_error_result(ended: Ended) -> None:
    error_result(ended, S.DATA_DOWNLOAD_FAILED, "DATASET_FILE_DOWNLOAD_FAILED")


@buys(Order(inputs=(b"there\n", None)))
def test_an_input_file_that_cannot_be_had_is_an_error_result(ended: Ended) -> None:
    error_result(ended, S.DATA_DOWNLOAD_FAILED, "INPUT_FILES_DOWNLOAD_FAILED")


@buys(Order("callback=0x00c0ffee", callback=True))
def test_a_contract_gets_its_callback_and_nothing_is_uploaded(ended: Ended) -> None:
    assert ended.told == COMPLETED
    assert ended.onchain.status is TaskStatus.COMPLETED
    assert ended.received == ended.onchain.results_callback == bytes.fromhex("00c0ffee")
    assert ended.onchain.result_digest == evidence.digest_of_callback(bytes.fromhex("00c0ffee"))
    link = f'{{ "storage": "ethereum", "location": "{ended.bought.purchase.callback}" }}'
    assert ended.onchain.results.decode().lower() == link
    assert ended.archive is None


@buys(Order("exit=3"))
def test_an_app_that_exits_3_with_a_result_is_completed(ended: Ended) -> None:
    assert "argument: [exit=3]" in computed_by(ended)
    assert ended.update(S.COMPUTED).details["exitCode"] == 3
    # Only of an app that succeeded what it printed is part of the result.
    assert "stdout.txt" not in ended.files


@buys(Order("exit=3 no-computed"))
def test_an_app_that_exits_3_without_a_result_fails(ended: Ended) -> None:
    not_computed(ended, "APP_COMPUTE_FAILED")
    told = ended.update(S.COMPUTE_FAILED).details
    assert told["exitCode"] == 3
    assert told["computeLogs"]["stdout"] == "done: 2 argument(s)\n"


@buys(Order("no-computed"))
def test_an_app_that_exits_0_without_a_result_fails(ended: Ended) -> None:
    not_computed(ended, "POST_COMPUTE_SEND_COMPUTED_FILE_FAILED")
    assert ended.update(S.COMPUTE_FAILED).details["exitCode"] == 0


@buys(Order("sleep=600", seconds=5))
def test_an_app_that_runs_past_its_time_fails(ended: Ended) -> None:
    not_computed(ended, "APP_COMPUTE_TIMEOUT")
    assert ended.update(S.COMPUTE_FAILED).details["exitCode"] == -1
    ran = ended.update(S.COMPUTE_FAILED).at - ended.update(S.COMPUTING).at
    assert 5 <= ran < 10


@buys(Order("long-name"))
def test_a_file_name_of_more_than_31_characters_fails(ended: Ended) -> None:
    not_computed(ended, "POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME")


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param(None, marks=buys(Order("link")), id="link"),
        pytest.param(None, marks=buys(Order("missing")), id="missing"),
    ],
    indirect=True,
)
def test_a_result_that_is_no_file_fails(ended: Ended) -> None:
    not_computed(ended, "POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED")


@buys(Order("directory"))
def test_a_directory_may_be_the_result(ended: Ended) -> None:
    assert "argument: [directory]" in computed_by(ended)
    assert ended.files["result/deep/second"] == b"second\n"
    assert b"/iexec_out/result" in ended.files["computed.json"]


@buys(Order("whole"))
def test_all_of_the_output_may_be_the_result(ended: Ended) -> None:
    assert "argument: [whole]" in computed_by(ended)
    assert set(ended.files) == {"computed.json", "result.txt", "stdout.txt"}


@buys(Order("", image="local"))
def test_an_image_that_is_here_needs_no_registry(ended: Ended) -> None:
    assert computed_by(ended) == "task index: 0 of 1\n"


@buys(Order("", image="private"))
def test_an_image_of_a_private_registry_is_pulled_with_its_password(ended: Ended) -> None:
    assert computed_by(ended) == "task index: 0 of 1\n"


@buys(Order(image="nowhere"))
def test_an_image_that_cannot_be_had_is_an_error_result(ended: Ended) -> None:
    error_result(ended, S.APP_DOWNLOAD_FAILED, "APP_IMAGE_DOWNLOAD_FAILED")


@buys(Order(image="locked"))
def test_an_image_behind_another_password_is_an_error_result(
    ended: Ended, outcomes: Outcomes
) -> None:
    error_result(ended, S.APP_DOWNLOAD_FAILED, "APP_IMAGE_DOWNLOAD_FAILED")
    # The password that the worker was given was tried.
    refused = [
        event["registry"]
        for event in outcomes.worker.events()
        if event["event"] == "log-in failed, pulling without"
    ]
    assert refused == [outcomes.shelf.locked.address]


@buys(Order(image="slow"))
def test_a_pull_past_its_limit_is_stopped(
    ended: Ended, outcomes: Outcomes, stage: Backstage
) -> None:
    error_result(ended, S.APP_DOWNLOAD_FAILED, "APP_IMAGE_DOWNLOAD_FAILED")
    took = ended.update(S.APP_DOWNLOAD_FAILED).at - ended.update(S.APP_DOWNLOADING).at
    assert 8 <= took < 11
    stage.run(outcomes.shelf.slow.quiet)
    assert outcomes.shelf.slow.passed < LARGE


@buys(Order(image="stalled"))
def test_a_pull_that_stalls_is_stopped(ended: Ended, outcomes: Outcomes, stage: Backstage) -> None:
    error_result(ended, S.APP_DOWNLOAD_FAILED, "APP_IMAGE_DOWNLOAD_FAILED")
    took = ended.update(S.APP_DOWNLOAD_FAILED).at - ended.update(S.APP_DOWNLOADING).at
    assert 3 <= took < 8
    stage.run(outcomes.shelf.stalled.move)
    stage.run(outcomes.shelf.stalled.quiet)
    assert outcomes.shelf.stalled.passed < LARGE / 2


@buys(Order("", provider=""))
def test_without_a_storage_provider_there_is_no_link(ended: Ended) -> None:
    # To the pool, storage that is not IPFS always has the result: it does not take the failure.
    assert ended.told == [*COMPUTED, *REVEALED, S.RESULT_UPLOADING, S.ABORTED]
    refused = ended.update(S.RESULT_UPLOAD_FAILED)
    assert (refused.cause, refused.code) == ("RESULT_LINK_MISSING", 202)
    assert ended.onchain.status is TaskStatus.REVEALING
    digest = evidence.digest_of(ended.files)
    assert digest == evidence.sha256(b"task index: 0 of 1\n")
    assert ended.contribution.result_hash == evidence.result_hash(ended.bought.task_id, digest)


@buys(Order(more=(("iexec_result_encryption", True),)))
def test_a_standard_task_cannot_have_its_result_encrypted(ended: Ended) -> None:
    assert ended.told == [S.STARTING, S.START_FAILED, S.ABORTED]
    assert ended.cause(S.START_FAILED) == "TASK_DESCRIPTION_INVALID"
    uncontributed(ended)


@buys(Order(price=10_000_000))
def test_a_stake_that_is_too_low_starts_nothing(ended: Ended) -> None:
    assert ended.told == [S.STARTING, S.START_FAILED, S.ABORTED]
    assert ended.cause(S.START_FAILED) == "STAKE_TOO_LOW"
    uncontributed(ended)
