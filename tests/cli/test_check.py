from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Start

pytestmark = pytest.mark.slow

NAMES = [
    "engine",
    "wallet",
    "scheduler",
    "login",
    "config server",
    "result proxy",
    "node",
    "chain id",
    "gas",
    "stake",
    "disk",
    "clock",
]


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """A configuration in which nothing is there."""
    return {
        "POOL_ADDRESS": "0x" + "ab" * 20,
        "IEXEC_CORE_URL": "http://127.0.0.1:1",
        "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
        "IEXEC_WORKER_WALLET_PATH": str(tmp_path / "no-wallet"),
        "IEXEC_WORKER_BASE_DIR": str(tmp_path),
    }


def test_every_check_is_a_line_and_a_failure_is_status_1(
    start: Start, nothing: dict[str, str]
) -> None:
    process = start("check", **nothing)
    output, errors = process.communicate(timeout=30)
    lines = output.splitlines()

    assert (process.returncode, errors) == (1, "")
    assert [line[9:22].strip() for line in lines] == NAMES
    assert [line.split()[0] for line in lines[:4]] == ["FAIL", "FAIL", "FAIL", "skipped"]
    assert " → " in lines[0]


def test_the_same_as_json(start: Start, nothing: dict[str, str]) -> None:
    process = start("check", "--json", **nothing)
    findings = json.loads(process.communicate(timeout=30)[0])

    assert process.returncode == 1
    assert [finding["name"] for finding in findings] == NAMES
    assert findings[2]["level"] == "FAIL"
    assert "IEXEC_CORE_URL" in findings[2]["fix"]


def test_a_bad_configuration_is_told_before_anything_is_asked(start: Start) -> None:
    process = start("check", IEXEC_WORKER_PORT="x")
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, output) == (2, "")
    assert "IEXEC_WORKER_PORT" in errors
