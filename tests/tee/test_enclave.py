from __future__ import annotations

import json
from typing import Any

import pytest

from iexec_worker.errors import StageFailed
from iexec_worker.tee.enclave import Enclave, enclave_of, parse
from iexec_worker.wire import Cause

FINGERPRINT = 64 * "f"
GB = 1024**3

GOOD: dict[str, Any] = {
    "framework": "SCONE",
    "version": "v5",
    "entrypoint": "node /app/app.js",
    "heapSize": GB,
    "fingerprint": FINGERPRINT,
}


def text(**changes: Any) -> str:  # noqa: ANN401 - any JSON
    return json.dumps({**GOOD, **changes})


def cause_of(configuration: str, most: int = 8 * GB) -> Cause:
    with pytest.raises(StageFailed) as failed:
        enclave_of(configuration, most)
    return failed.value.cause


def test_a_configuration_is_read() -> None:
    assert enclave_of(text(), 8 * GB) == Enclave("SCONE", "v5", "node /app/app.js", GB, FINGERPRINT)


def test_the_framework_may_be_called_the_provider() -> None:
    old = {"provider": "GRAMINE", "fingerprint": FINGERPRINT}

    assert parse(json.dumps(old)).framework == "GRAMINE"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "null",
        "[]",
        "{",
        "nonsense",
        '"{}"',
        text(extra=1),
        text(Version="v5"),
        text(framework="SGX"),
        text(framework="scone"),
        text(framework=1),
        text(framework=""),
        text(heapSize="much"),
        text(heapSize=True),
        text(heapSize=[1]),
        text(heapSize=2**63),
        text(heapSize="9" * 5000),
        text(version={}),
        text(entrypoint=["node"]),
        '{"heapSize": NaN}',
        100_000 * '{"version":',
    ],
)
def test_what_is_no_configuration_counts_as_none(bad: str) -> None:
    assert cause_of(bad) is Cause.PRE_COMPUTE_MISSING_ENCLAVE_CONFIGURATION


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": None},
        {"fingerprint": ""},
        {"fingerprint": 63 * "f"},
        {"fingerprint": 64 * "g"},
        {"entrypoint": ""},
        {"entrypoint": None},
        {"heapSize": 0},
        {"heapSize": -1},
        {"heapSize": None},
        {"heapSize": ""},
        {"framework": None, "heapSize": 0},
    ],
)
def test_a_configuration_without_what_its_framework_needs_is_not_valid(
    changes: dict[str, Any],
) -> None:
    assert cause_of(text(**changes)) is Cause.PRE_COMPUTE_INVALID_ENCLAVE_CONFIGURATION


def test_gramine_needs_a_fingerprint_only() -> None:
    bare = {"framework": "GRAMINE", "fingerprint": "0x" + FINGERPRINT}

    assert enclave_of(json.dumps(bare), GB).fault() == ""


def test_a_heap_up_to_the_maximum_is_taken() -> None:
    assert enclave_of(text(heapSize=GB), GB).heap == GB
    larger = text(heapSize=GB + 1)
    assert cause_of(larger, GB) is Cause.PRE_COMPUTE_INVALID_ENCLAVE_HEAP_CONFIGURATION


@pytest.mark.parametrize(
    ("written", "heap"),
    [
        ("1024", 1024),
        ('"1024"', 1024),
        ("1024.9", 1024),
        ("1e3", 1000),
        (str(2**62 + 1), 2**62 + 1),
    ],
)
def test_a_heap_is_read_however_it_is_written(written: str, heap: int) -> None:
    assert parse(f'{{"heapSize": {written}}}').heap == heap


def test_scalars_are_taken_for_text() -> None:
    read = parse('{"version": 5.0, "entrypoint": true, "fingerprint": null} and more')

    assert (read.version, read.entrypoint, read.fingerprint) == ("5.0", "true", "")
