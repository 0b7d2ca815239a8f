from __future__ import annotations

import json

import pytest

from iexec_worker.model import ZERO_HASH, ComputedFile
from iexec_worker.results import reported
from iexec_worker.wire import Cause
from tests.samples import TASK

DIGEST, SIGNATURE = "0x" + 64 * "d", "0x" + 130 * "e"
FIRST, SECOND = Cause.PRE_COMPUTE_DATASET_DOWNLOAD_FAILED, Cause.PRE_COMPUTE_TIMEOUT


@pytest.mark.parametrize(
    ("content", "causes"),
    [
        (f'["{SECOND}", "{FIRST}"]', (SECOND, FIRST)),
        (f'[{{"cause": "{FIRST}", "message": "dataset 1"}}, {{"cause": "{SECOND}"}}]', None),
        (f'["{FIRST}", {{"cause": "{SECOND}", "message": null, "new": 1}}]', None),
        (f'["{FIRST}", "{SECOND}", "{FIRST}"]', None),
    ],
)
def test_causes_are_names_or_objects_each_told_once(
    content: str, causes: tuple[Cause, ...] | None
) -> None:
    assert reported.causes(content.encode()) == (causes or (FIRST, SECOND))


def test_as_many_causes_are_taken_as_a_large_bulk_has() -> None:
    many = reported.MOST_CAUSES * [FIRST]

    assert reported.causes(json.dumps(many).encode()) == (FIRST,)
    with pytest.raises(ValueError, match="no list of 1 to 1000"):
        reported.causes(json.dumps([*many, FIRST]).encode())


def test_a_computed_file_is_believed_and_spelt_as_everything_else() -> None:
    body = {
        "task-id": TASK,
        "callback-data": "0xAB",
        "result-digest": DIGEST.upper().replace("X", "x"),
        "enclave-signature": SIGNATURE.upper().replace("X", "x"),
        "error-message": "",
    }

    assert reported.computed(json.dumps(body).encode(), TASK) == ComputedFile(
        callback_data="0xAB", result_digest=DIGEST, enclave_signature=SIGNATURE
    )


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("", "the body is not JSON"),
        ("{} {}", "the body is not JSON"),
        ('{"cause": "UNKNOWN", "cause": "UNKNOWN"}', "a key stands there twice"),
        ('{"cause": NaN}', "NaN is no JSON value"),
        (500_000 * "[", "nested too deeply"),
        ("[1]", "something else where an object should be"),
        ('{"cause": 1}', "cause is not text"),
        ("{}", "no cause"),
        ('{"cause": "PRE_COMPUTE_NO_MOOD"}', "'PRE_COMPUTE_NO_MOOD' is no cause that pools know"),
        ('{"cause": "\\u001b[2J"}', r"'\\x1b\[2J' is no cause"),
        ('{"cause": "\\ud800"}', "surrogates not allowed"),
    ],
)
def test_what_is_no_report_says_why(content: str, fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        reported.cause(content.encode())


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        ("", SIGNATURE),
        (ZERO_HASH, SIGNATURE),
        (DIGEST[2:], SIGNATURE),
        (DIGEST + "\n", SIGNATURE),
        (DIGEST, ""),
        (DIGEST, DIGEST),
    ],
)
def test_zero_is_no_digest_and_a_signature_has_65_bytes(digest: str, signature: str) -> None:
    assert reported.is_signed(ComputedFile("/iexec_out/x", "", DIGEST, SIGNATURE))
    assert not reported.is_signed(ComputedFile("/iexec_out/x", "", digest, signature))
