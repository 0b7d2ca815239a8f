from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from iexec_worker.devpool.tee.properties import Properties, StageProperties
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from tests.devpool.tee.sms.desk import Desk

EIGHT = pytest.mark.parametrize("version", ["8.7.0"])
MINE = Properties(
    pre=StageProperties("pre:1", 64 * "1", "/pre", 5),
    post=StageProperties("post:1", 64 * "2", "/post", 6),
    las_image="las:1",
)
STAGES: dict[str, Any] = {
    "preComputeProperties": {
        "image": "pre:1",
        "fingerprint": 64 * "1",
        "entrypoint": "/pre",
        "heapSizeInBytes": 5,
    },
    "postComputeProperties": {
        "image": "post:1",
        "fingerprint": 64 * "2",
        "entrypoint": "/post",
        "heapSizeInBytes": 6,
    },
}


@pytest.mark.parametrize("framework", TeeFramework)
async def test_the_framework_is_a_json_string(desk: Desk, framework: TeeFramework) -> None:
    answer = await desk.client.get("/tee/framework")

    assert answer.text == f'"{framework.name}"'
    assert answer.headers["Content-Type"] == "application/json"


async def test_properties_are_told_by_version(desk: Desk) -> None:
    desk.sms.properties = {"v5": Properties(), "v6": MINE}

    answer = await desk.client.get("/tee/properties/scone/v6")

    expected = {"teeFramework": "SCONE", "teeFrameworkVersion": "v6", **STAGES, "lasImage": "las:1"}
    assert answer.json() == expected
    assert (await desk.client.get("/tee/properties/SCONE")).json()["teeFrameworkVersion"] == "v5"


@pytest.mark.parametrize("framework", [TeeFramework.GRAMINE, TeeFramework.TDX])
async def test_only_scone_has_a_las(desk: Desk, framework: TeeFramework) -> None:
    answer = await desk.client.get(f"/tee/properties/{framework.name}")

    assert answer.status_code == 200
    assert "lasImage" not in answer.json()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("SCONE/v4", 404),
        ("GRAMINE/v5", 409),
        ("GRAMINE", 409),
        ("TDX", 409),
        ("ENCLAVE", 400),
        ("ENCLAVE/v5", 400),
    ],
)
async def test_what_is_not_served_is_refused(desk: Desk, path: str, status: int) -> None:
    assert (await desk.client.get(f"/tee/properties/{path}")).status_code == status


@EIGHT
async def test_before_9_0_properties_have_no_version(desk: Desk) -> None:
    desk.sms.properties = {"v5": MINE}

    answer = await desk.client.get("/tee/properties/scone")

    assert answer.json() == {"teeFramework": "SCONE", **STAGES, "lasImage": "las:1"}
    assert (await desk.client.get("/tee/properties/scone/v5")).status_code == 404
    assert (await desk.client.get("/tee/properties/tdx")).status_code == 400
