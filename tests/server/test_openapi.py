"""The document holds the routes to their word, and schemathesis the routes to the document."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from subprocess import STDOUT
from typing import TYPE_CHECKING

import openapi_spec_validator
import pytest
import trio

from iexec_worker.server.app import make_app
from iexec_worker.server.openapi import DOCUMENT
from tests.server.conftest import TASK, signed

if TYPE_CHECKING:
    import httpx

    from tests.server.conftest import Reports, Worker

ROOT = Path(__file__).parents[2]

#: Not that valid data is accepted: a call without a signature is valid, and refused by protocol.
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "negative_data_rejection"),
    *("unsupported_method", "allow_header_conformance"),
)


async def test_the_document_is_served_and_is_valid_openapi(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")

    assert answer.headers["content-type"] == "application/json"
    openapi_spec_validator.validate(answer.json())
    assert answer.json()["openapi"].startswith("3.1.")


def test_every_route_is_in_the_document_and_nothing_else_is(worker: Worker) -> None:
    real = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method)
        for rule in make_app(worker.view()).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}

    assert told == real


def test_every_parameter_of_a_path_is_described() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            described = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert described == set(re.findall(r"{(\w+)}", path))


@pytest.mark.slow
async def test_no_request_that_the_document_describes_or_forbids_fails(
    url: str, reports: Reports, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With `--fuzz-http 60` for a minute; what it prints has the seed, for `ARGS`."""
    seconds: int = request.config.getoption("--fuzz-http")
    # It keeps what it finds in the folder in which it runs; and goes through no proxy.
    env = {
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.server.schemathesis_hooks",
        "TRIED_TASK": TASK,
        "TRIED_SIGNATURE": signed()["Authorization"],
    }
    options = ["--no-color", f"--max-time={seconds}", "--phases=examples,coverage,fuzzing"]
    done = await trio.run_process(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *(*options, f"--checks={','.join(CHECKS)}"),
        ],
        cwd=tmp_path,
        env=env,
        check=False,
        capture_stdout=True,
        stderr=STDOUT,
    )

    assert done.returncode == 0, done.stdout.decode()
    assert reports.told, "no call got past the signature"
    assert reports.files, "no computed file was taken"
