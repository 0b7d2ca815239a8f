from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from iexec_worker import __version__
from iexec_worker.telemetry.tree import State

if TYPE_CHECKING:
    import httpx

    from tests.server.conftest import Worker

ACTUATOR = "application/vnd.spring-boot.actuator.v3+json"


@pytest.mark.parametrize("probe", ["", "/liveness", "/readiness"])
async def test_a_sound_worker_is_up(client: httpx.AsyncClient, probe: str) -> None:
    answer = await client.get(f"/actuator/health{probe}")

    assert answer.status_code == 200
    assert answer.text == '{"status":"UP"}'
    assert answer.headers["content-type"] == ACTUATOR


@pytest.mark.parametrize("probe", ["", "/liveness"])
async def test_health_follows_liveness_and_not_what_is_away(
    client: httpx.AsyncClient, worker: Worker, probe: str
) -> None:
    worker.problems = {"scheduler": "http://core:13000 does not answer"}
    assert (await client.get(f"/actuator/health{probe}")).status_code == 200

    worker.sound = False
    answer = await client.get(f"/actuator/health{probe}")
    assert answer.status_code == 503
    assert answer.text == '{"status":"DOWN"}'


async def test_readiness_is_out_of_service_while_something_is_missing(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    worker.problems = {"scheduler": None, "gas": "0 wei left; send some to 0xabc"}

    answer = await client.get("/actuator/health/readiness")

    assert answer.status_code == 503
    assert answer.text == '{"status":"OUT_OF_SERVICE"}'
    assert answer.headers["content-type"] == ACTUATOR


async def test_readiness_says_why_when_details_are_asked_for(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    worker.problems = {"scheduler": None, "node": "http://u:hunter2@node does not answer"}

    answer = await client.get("/actuator/health/readiness?details=true")

    assert answer.json() == {
        "status": "OUT_OF_SERVICE",
        "components": {
            "scheduler": {"status": "UP"},
            "node": {
                "status": "OUT_OF_SERVICE",
                "details": {"reason": "http://u:***@node does not answer"},
            },
        },
    }


@pytest.mark.parametrize("probe", ["", "/liveness"])
async def test_health_shows_the_parts_when_details_are_asked_for(
    client: httpx.AsyncClient, worker: Worker, probe: str
) -> None:
    with worker.root.child("chain") as chain, worker.root.child("membership") as membership:
        chain.enter(State.RUNNING)
        membership.enter(State.BACKOFF)
        membership.doing = "starting again in 3.0 s"
        answer = await client.get(f"/actuator/health{probe}?details=true")

    assert answer.json() == {
        "status": "UP",
        "components": {
            "chain": {"status": "UP", "details": {"state": "running", "doing": ""}},
            "membership": {
                "status": "UNKNOWN",
                "details": {"state": "backoff", "doing": "starting again in 3.0 s"},
            },
        },
    }


async def test_metrics_are_the_seeds_json_in_its_order(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    # The seed's own example, from windows that have slid past an older task's run.
    for ms in (1.0, 3835.0, 3928.0):
        worker.durations.pre.add(ms)
    worker.durations.pre.add(3881.5)
    worker.durations.app.add(4349.0)
    worker.durations.post.add(16080)
    worker.durations.complete.add(24264.0)

    answer = await client.get("/metrics")

    assert answer.headers["content-type"] == "application/json"
    assert answer.text == (
        '{"preComputeDurations":{"minDuration":3835.0,"maxDuration":3928.0,'
        '"averageDuration":3881.5,"durationSamplesCount":3},'
        '"appComputeDurations":{"minDuration":4349.0,"maxDuration":4349.0,'
        '"averageDuration":4349.0,"durationSamplesCount":1},'
        '"postComputeDurations":{"minDuration":16080.0,"maxDuration":16080.0,'
        '"averageDuration":16080.0,"durationSamplesCount":1},'
        '"completeComputeDurations":{"minDuration":24264.0,"maxDuration":24264.0,'
        '"averageDuration":24264.0,"durationSamplesCount":1}}'
    )


async def test_metrics_of_empty_windows_are_zero(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")

    empty = '{"minDuration":0.0,"maxDuration":0.0,"averageDuration":0.0,"durationSamplesCount":0}'
    assert answer.text == (
        f'{{"preComputeDurations":{empty},"appComputeDurations":{empty},'
        f'"postComputeDurations":{empty},"completeComputeDurations":{empty}}}'
    )


async def test_prometheus_gets_its_text_format(client: httpx.AsyncClient) -> None:
    answer = await client.get("/actuator/prometheus")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'iexec_app_compute_duration_min{phase="app_compute",wallet="0xabc"} NaN' in answer.text


async def test_version_is_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/version")

    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    assert answer.text == f"{__version__}+protocol.8.6-9.2"


async def test_info_names_the_worker_and_its_protocol(client: httpx.AsyncClient) -> None:
    answer = await client.get("/actuator/info")

    assert answer.headers["content-type"] == ACTUATOR
    assert answer.json() == {
        "name": "iexec-worker",
        "version": __version__,
        "protocol": {"first": "8.6", "last": "9.2"},
    }


async def test_supervision_is_the_tree_without_secrets(
    client: httpx.AsyncClient, worker: Worker
) -> None:
    worker.root.since = 1763929865.5
    worker.root.last_error = "https://u:hunter2@node refused\x1b[2J"

    answer = await client.get("/actuator/supervision")

    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "name": "root",
        "state": "running",
        "since": 1763929865.5,
        "restarts": 0,
        "lastError": "https://u:***@node refused\\x1b[2J",
        "doing": "",
        "children": [],
    }


@pytest.mark.parametrize("path", ["/", "/actuator", "/static/x", "/metrics/", "/compute/pre/0x"])
async def test_an_unknown_route_is_404_in_json(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == '{"status":404,"error":"Not Found"}'


async def test_a_wrong_method_is_405_and_names_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.post("/metrics", content=b"x")

    assert answer.status_code == 405
    assert answer.text == '{"status":405,"error":"Method Not Allowed"}'
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_health_check_may_use_head(client: httpx.AsyncClient) -> None:
    answer = await client.head("/actuator/health")

    assert answer.status_code == 200
    assert answer.content == b""


async def test_a_bug_is_a_500_without_a_traceback_and_the_server_goes_on(
    client: httpx.AsyncClient, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.problems = None  # type: ignore[assignment]
    answer = await client.get("/actuator/health/readiness")

    assert answer.status_code == 500
    assert json.loads(answer.text) == {"status": 500, "error": "Internal Server Error"}
    assert (await client.get("/actuator/health")).status_code == 200
    assert [record.getMessage() for record in caplog.records] == [
        "Exception on request GET /actuator/health/readiness"
    ]
    caplog.clear()
