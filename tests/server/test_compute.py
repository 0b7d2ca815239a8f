"""The callbacks of pre- and post-compute, signed and not, by enclaves and by others."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from iexec_worker.model import ZERO_ADDRESS, ZERO_HASH, ComputedFile
from iexec_worker.server.app import make_app
from iexec_worker.server.serve import run
from iexec_worker.tee.model import Part
from iexec_worker.wire import Cause
from tests.server.conftest import OTHER, STRANGER, TASK, Reports, signed, trusted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.conftest import Worker

DIGEST, SIGNATURE = "0x" + 64 * "d", "0x" + 130 * "e"
FILE = {
    "task-id": TASK,
    "deterministic-output-path": "/iexec_out/result.txt",
    "result-digest": DIGEST,
    "enclave-signature": SIGNATURE,
}
EXIT, EXIT_CAUSES = f"/compute/pre/{TASK}/exit", f"/compute/pre/{TASK}/exit-causes"
COMPUTED = f"/compute/post/{TASK}/computed"
CAUSE = {"cause": "PRE_COMPUTE_DATASET_DOWNLOAD_FAILED"}

#: Each route with a body that it takes.
CALLS = [(EXIT, CAUSE), (EXIT_CAUSES, [CAUSE]), (COMPUTED, FILE)]


def nothing_was_written(heard: Reports) -> bool:
    return not heard.told and not heard.files


DOWNLOAD, TIMEOUT = Cause.PRE_COMPUTE_DATASET_DOWNLOAD_FAILED, Cause.PRE_COMPUTE_TIMEOUT

#: What images of each age send.
FORMS: list[tuple[str, object, tuple[Cause, ...]]] = [
    ("exit", CAUSE, (DOWNLOAD,)),
    ("exit-causes", [DOWNLOAD, TIMEOUT], (DOWNLOAD, TIMEOUT)),
    (
        "exit-causes",
        [CAUSE | {"message": "dataset 0xabc"}, {"cause": TIMEOUT, "new": 1}, CAUSE],
        (DOWNLOAD, TIMEOUT),
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=["until 9.0", "9.1", "from 9.2"])
@pytest.mark.parametrize(
    ("spelt", "part"), [("pre", Part.PRE), ("POST", Part.POST), ("Pre", Part.PRE)]
)
async def test_an_enclave_tells_why_it_failed(
    client: httpx.AsyncClient,
    reports: Reports,
    form: tuple[str, object, tuple[Cause, ...]],
    spelt: str,
    part: Part,
) -> None:
    route, body, causes = form
    answer = await client.post(f"/compute/{spelt}/{TASK}/{route}", json=body, headers=signed())

    assert (answer.status_code, answer.content) == (200, b"")
    assert reports.told == [(part, causes)]


@pytest.mark.parametrize("route", [EXIT, EXIT_CAUSES])
async def test_what_was_reported_already_is_208_in_both_forms(
    client: httpx.AsyncClient, reports: Reports, route: str
) -> None:
    first = await client.post(EXIT, json=CAUSE, headers=signed())
    body = {"cause": "PRE_COMPUTE_TIMEOUT"}
    again = await client.post(route, json=body if route == EXIT else [body], headers=signed())
    other = await client.post(f"/compute/post/{TASK}/exit", json=body, headers=signed())

    assert (first.status_code, again.status_code, other.status_code) == (200, 208, 200)
    assert [part for part, _ in reports.told] == [Part.PRE, Part.POST]


@pytest.mark.parametrize("route", [COMPUTED, f"/iexec_out/{TASK}/computed"])
async def test_post_compute_hands_over_the_computed_file(
    client: httpx.AsyncClient, reports: Reports, route: str
) -> None:
    answer = await client.post(route, json=FILE, headers=signed())

    assert (answer.status_code, answer.text) == (200, TASK)
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    assert reports.files == [
        ComputedFile(
            deterministic_output_path="/iexec_out/result.txt",
            result_digest=DIGEST,
            enclave_signature=SIGNATURE,
        )
    ]


async def test_data_for_a_contract_is_handed_over_too(
    client: httpx.AsyncClient, reports: Reports
) -> None:
    body = {**FILE, "deterministic-output-path": None, "callback-data": "0x01"}
    answer = await client.post(COMPUTED, json=body, headers=signed())

    assert answer.status_code == 200
    assert (reports.files[0].callback_data, reports.files[0].deterministic_output_path) == (
        "0x01",
        "",
    )


async def test_a_computed_file_is_taken_once(client: httpx.AsyncClient, reports: Reports) -> None:
    taken = await client.post(COMPUTED, json=FILE, headers=signed())
    replayed = await client.post(COMPUTED, json=FILE, headers=signed())

    assert (taken.status_code, replayed.status_code) == (200, 401)
    assert len(reports.files) == 1


async def test_no_computed_file_is_taken_when_the_task_wants_none(
    client: httpx.AsyncClient, reports: Reports
) -> None:
    reports.active = False

    answer = await client.post(COMPUTED, json=FILE, headers=signed())

    assert answer.status_code == 401
    assert nothing_was_written(reports)


@pytest.mark.parametrize(
    "changed",
    [
        {"result-digest": ZERO_HASH},
        {"result-digest": None},
        {"result-digest": 62 * "d"},
        {"result-digest": "0x" + 64 * "g"},
        {"enclave-signature": ""},
        {"enclave-signature": DIGEST},
        {"enclave-signature": SIGNATURE + "e"},
    ],
)
async def test_without_digest_and_signature_a_computed_file_is_401(
    client: httpx.AsyncClient, reports: Reports, changed: dict[str, str | None]
) -> None:
    answer = await client.post(COMPUTED, json=FILE | changed, headers=signed())

    assert answer.status_code == 401
    assert nothing_was_written(reports)


FORGED = {
    "of another key": signed(by=STRANGER),
    "of another task": signed(task=OTHER),
    "of another worker": signed(worker=STRANGER.address),
    "empty": {"Authorization": ""},
    "no hex": {"Authorization": "0x" + 130 * "g"},
    "of 64 bytes": {"Authorization": signed()["Authorization"][:-2]},
    "with something after it": {"Authorization": signed()["Authorization"] + "00"},
    "with v 0": {"Authorization": signed()["Authorization"][:-2] + "00"},
    "a token": {"Authorization": "Bearer " + signed()["Authorization"]},
    "zero": {"Authorization": "0x" + 130 * "0"},
    "long": {"Authorization": 8000 * "f"},
    "not ASCII": {"Authorization": 66 * "é"},
}


@pytest.mark.parametrize(("route", "body"), CALLS)
async def test_a_signature_that_is_not_of_the_tasks_enclave_is_401(
    client: httpx.AsyncClient, reports: Reports, route: str, body: object
) -> None:
    for name, headers in FORGED.items():
        encoded = {header.encode(): value.encode() for header, value in headers.items()}
        answer = await client.post(route, json=body, headers=encoded)

        assert answer.status_code == 401, name
        assert nothing_was_written(reports), name


async def test_how_a_signature_is_spelt_does_not_matter(
    client: httpx.AsyncClient, reports: Reports
) -> None:
    spelt = {"Authorization": signed()["Authorization"].removeprefix("0x").upper()}

    assert (await client.post(EXIT, json=CAUSE, headers=spelt)).status_code == 200
    assert reports.told


@pytest.mark.parametrize(("route", "body"), CALLS)
async def test_without_a_header_it_is_400_whatever_else_is_wrong(
    client: httpx.AsyncClient, reports: Reports, route: str, body: object
) -> None:
    unsigned = await client.post(route, json=body)
    unknown = await client.post(route.replace(TASK, OTHER), content=b"?")

    assert (unsigned.status_code, unknown.status_code) == (400, 400)
    assert unsigned.json() == {
        "status": 400,
        "error": "Bad Request",
        "message": "there is no Authorization header",
    }
    assert nothing_was_written(reports)


@pytest.mark.parametrize(("route", "body"), CALLS)
async def test_a_task_that_is_not_here_is_404_whoever_signs(
    client: httpx.AsyncClient, reports: Reports, route: str, body: object
) -> None:
    url = route.replace(TASK, OTHER)
    good = await client.post(url, json=body, headers=signed(OTHER))
    bad = await client.post(url, content=b"?", headers=signed(OTHER, by=STRANGER))

    assert (good.status_code, bad.status_code) == (404, 404)
    assert nothing_was_written(reports)


@pytest.mark.parametrize("route", ["/compute/app/{}/exit", "/compute/app/{}/exit-causes"])
async def test_there_are_two_parts_only(
    client: httpx.AsyncClient, reports: Reports, route: str
) -> None:
    answer = await client.post(route.format(TASK), json=CAUSE, headers=signed())

    assert answer.status_code == 404
    assert nothing_was_written(reports)


async def test_a_standard_task_has_no_enclave_that_could_call(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    heard = Reports(attrs.evolve(trusted(TASK).authorization, enclave_challenge=ZERO_ADDRESS))
    worker.tasks[TASK] = heard
    worker.pool_version, worker.containers = "8.6.0", ("127.0.0.1",)

    for route, body in CALLS:
        for headers in (signed(), {}):
            assert (await client.post(route, json=body, headers=headers)).status_code == 401
    assert nothing_was_written(heard)


MALFORMED: dict[str, bytes | Callable[[Any], bytes]] = {
    "nothing": b"",
    "space": b" \n",
    "no JSON": b"cause=UNKNOWN",
    "half of it": lambda body: json.dumps(body).encode()[:-1],
    "more after it": lambda body: json.dumps(body).encode() + b" {}",
    "not UTF-8": b'{"cause": "\xff"}',
    "another kind": b'"text"',
    "null": b"null",
    "a number of many digits": b'{"cause": ' + 5000 * b"9" + b"}",
    "deep lists": 400_000 * b"[",
    "deep lists, closed": 100_000 * b"[" + 100_000 * b"]",
    "deep objects": 100_000 * b'{"cause":',
    "NaN": b'{"cause": NaN}',
    "infinity": b'[{"cause": "UNKNOWN", "message": -Infinity}]',
    "a key twice": lambda body: (
        json.dumps(body).replace("{", '{"cause": "UNKNOWN", ', 1).encode()
        if "cause" in str(body)
        else json.dumps(body).replace("{", f'{{"task-id": "{TASK}", ', 1).encode()
    ),
    "half a character": b'{"cause": "\\ud800"}',
    "an unknown cause": b'{"cause": "PRE_COMPUTE_NO_MOOD"}',
    "unknown among known": b'["PRE_COMPUTE_TIMEOUT", "PRE_COMPUTE_NO_MOOD"]',
    "a cause in lower case": b'["pre_compute_timeout"]',
    "no cause": b'[{"message": "sorry"}]',
    "null for a cause": b'{"cause": null}',
    "a list for a cause": b'{"cause": ["PRE_COMPUTE_TIMEOUT"]}',
    "an object for a message": b'[{"cause": "PRE_COMPUTE_TIMEOUT", "message": {}}]',
    "no items": b"[]",
    "lists in a list": b'[["PRE_COMPUTE_TIMEOUT"]]',
    "too many items": lambda _: json.dumps(1001 * ["PRE_COMPUTE_TIMEOUT"]).encode(),
    "as many as fit": lambda _: json.dumps(45_000 * ["PRE_COMPUTE_TIMEOUT"]).encode(),
}


@pytest.mark.parametrize(("route", "body"), CALLS)
async def test_a_body_that_is_something_else_is_400(
    client: httpx.AsyncClient, reports: Reports, route: str, body: object
) -> None:
    for name, malformed in MALFORMED.items():
        content = malformed if isinstance(malformed, bytes) else malformed(body)
        answer = await client.post(route, content=content, headers=signed())

        assert answer.status_code == 400, (name, answer.text)
        assert nothing_was_written(reports), name


@pytest.mark.parametrize(
    "changed",
    [
        {"task-id": OTHER},
        {"task-id": None},
        {"task-id": TASK.upper()},
        {"task-id": [TASK]},
        {"result-digest": 1},
        {"deterministic-output-path": {}},
        {"callback-data": "\ud800"},
    ],
)
async def test_a_computed_file_of_another_task_or_of_other_values_is_400(
    client: httpx.AsyncClient, reports: Reports, changed: dict[str, object]
) -> None:
    content = json.dumps(FILE | changed).encode()
    answer = await client.post(COMPUTED, content=content, headers=signed())

    assert answer.status_code == 400
    assert nothing_was_written(reports)


ROUNDS = 10
TWO_MEGABYTES: dict[str, tuple[bytes, bytes]] = {
    "announced": (b"Content-Length: 2097152", 64_000 * b" "),
    "in pieces": (b"Transfer-Encoding: chunked", 33 * (b"8000\r\n" + 32_768 * b" " + b"\r\n")),
}


@pytest.mark.parametrize(("header", "sent"), TWO_MEGABYTES.values(), ids=TWO_MEGABYTES)
@pytest.mark.parametrize("route", [route for route, _ in CALLS])
async def test_a_body_of_two_megabytes_is_413(
    url: str,
    reports: Reports,
    *,
    route: str,
    header: bytes,
    sent: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not with a client that gives up when it is answered before it has sent everything."""
    parsed = httpx.URL(url)
    head = f"POST {route} HTTP/1.1\r\nHost: x\r\nAuthorization: {signed()['Authorization']}\r\n"
    assert parsed.port
    with trio.fail_after(10):
        # Some of them go when the answer is on its way, which is no error of the server's.
        for _ in range(ROUNDS):
            async with await trio.open_tcp_stream(parsed.host, parsed.port) as stream:
                await stream.send_all(head.encode() + header + b"\r\n\r\n" + sent)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")
        await trio.testing.wait_all_tasks_blocked()
    assert nothing_was_written(reports)
    assert [record for record in caplog.records if record.name.startswith("hypercorn")] == []


@pytest.mark.parametrize(
    ("version", "container", "status"),
    [
        ("8.6.0", "127.0.0.1", 200),
        ("8.7.1-SNAPSHOT", "127.0.0.1", 200),
        ("8.6.0", "172.18.0.2", 400),
        ("9.0.0", "127.0.0.1", 400),
        ("80.1", "127.0.0.1", 400),
        ("", "127.0.0.1", 400),
    ],
)
async def test_only_pools_of_8_and_containers_of_the_docker_network_need_no_signature(
    client: httpx.AsyncClient, worker: Worker, version: str, container: str, status: int
) -> None:
    worker.pool_version, worker.containers = version, (container,)
    # Whoever says that it comes from elsewhere is not believed.
    claims = dict.fromkeys(("X-Forwarded-For", "Remote-Addr", "X-Real-IP"), "172.18.0.2")

    for route, body in ((EXIT, CAUSE), (COMPUTED, FILE)):
        worker.tasks[TASK] = heard = trusted(TASK)
        answer = await client.post(route, json=body, headers=claims)

        assert answer.status_code == status
        assert nothing_was_written(heard) == (status != 200)


async def test_a_wrong_signature_is_wrong_for_pools_of_8_too(
    client: httpx.AsyncClient, worker: Worker, reports: Reports
) -> None:
    worker.pool_version, worker.containers = "8.6.0", ("127.0.0.1",)

    for route, body in CALLS:
        answer = await client.post(route, json=body, headers=signed(by=STRANGER))
        assert answer.status_code == 401
    assert (await client.post(EXIT.replace(TASK, OTHER), json=CAUSE)).status_code == 404
    assert nothing_was_written(reports)


async def test_why_an_enclave_was_refused_is_said_once_and_not_of_strangers_tasks(
    client: httpx.AsyncClient, reports: Reports
) -> None:
    with capture_logs() as events:
        for _ in range(3):
            await client.post(EXIT, json=CAUSE)
            await client.post(EXIT.replace(TASK, OTHER), json=CAUSE, headers=signed(OTHER))
        await client.post(COMPUTED, content=b"?", headers=signed())

    assert events == [
        {
            "event": "callback refused",
            "log_level": "warning",
            "task": TASK,
            "route": EXIT,
            "reason": "there is no Authorization header",
        },
        {
            "event": "callback refused",
            "log_level": "warning",
            "task": TASK,
            "route": COMPUTED,
            "reason": "the body is not JSON: Expecting value: line 1 column 1 (char 0)",
        },
    ]
    assert nothing_was_written(reports)


async def test_who_calls_while_the_worker_is_coming_back_is_heard(
    worker: Worker, nursery: trio.Nursery
) -> None:
    heard = trusted(TASK)

    async def come_back() -> None:
        await trio.lowlevel.checkpoint()
        worker.tasks[TASK] = heard

    worker.settle = come_back
    started: Any = await nursery.start(
        partial(run, make_app(worker.view()), bind="127.0.0.1", port=0)
    )
    async with httpx.AsyncClient(base_url=started, trust_env=False, verify=False) as client:
        answer = await client.post(
            f"/compute/pre/{TASK}/exit",
            json={"cause": "PRE_COMPUTE_DATASET_KEY_MISSING"},
            headers=signed(),
        )
    assert answer.status_code == 200
    assert heard.told == [(Part.PRE, (Cause.PRE_COMPUTE_DATASET_KEY_MISSING,))]
