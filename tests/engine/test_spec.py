from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from docker import APIClient

from iexec_worker.engine.limits import MB, Limits
from iexec_worker.engine.spec import ContainerSpec, create_request

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def api() -> Iterator[APIClient]:
    # With a version given, it asks nobody.
    with APIClient(base_url="tcp://127.0.0.1:1", version="1.41") as client:
        yield client


def host_config(api: APIClient, **more: object) -> dict[str, Any]:
    spec = ContainerSpec("n", "i:1", **more)  # type: ignore[arg-type]  # fields of a spec
    config: dict[str, Any] = create_request(api, spec)["host_config"]
    return config


def test_gpus_are_asked_for_all_at_once(api: APIClient) -> None:
    (request,) = host_config(api, gpus=True)["DeviceRequests"]

    assert request["Count"] == -1
    assert request["Capabilities"] == [["gpu"]]


def test_no_gpus_are_asked_for_otherwise(api: APIClient) -> None:
    assert not host_config(api).get("DeviceRequests")


def test_the_network_is_the_default_bridge_unless_named(api: APIClient) -> None:
    assert host_config(api)["NetworkMode"] == "default"
    assert host_config(api, network="tee")["NetworkMode"] == "tee"


def test_devices_and_hosts_are_passed(api: APIClient) -> None:
    config = host_config(api, devices=("/dev/isgx",), extra_hosts={"worker": "10.0.0.1"})

    assert config["Devices"][0]["PathOnHost"] == "/dev/isgx"
    assert config["ExtraHosts"] == ["worker:10.0.0.1"]


def test_an_app_is_confined_even_where_nobody_says_how(api: APIClient) -> None:
    config = host_config(api)

    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert config["CapDrop"] == ["ALL"]
    assert "CapAdd" not in config
    assert config["IpcMode"] == "private"
    assert config["PidsLimit"] == 4096
    assert config["OomScoreAdj"] > 0
    assert {"Name": "core", "Soft": 0, "Hard": 0} in config["Ulimits"]
    # Two files: when one goes, the other is full.
    assert config["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": str(512 * MB), "max-file": "2"},
    }


def test_limits_are_said_in_the_engines_words(api: APIClient) -> None:
    limits = Limits(memory=64 * MB, swap=16 * MB, cpus=0.5, runtime="runsc", read_only_root=True)
    config = host_config(api, limits=limits)

    assert (config["Memory"], config["MemorySwap"]) == (64 * MB, 80 * MB)
    assert config["NanoCpus"] == 500_000_000
    assert (config["Runtime"], config["ReadonlyRootfs"]) == ("runsc", True)
    assert config["Tmpfs"] == {"/tmp": "mode=1777"}


def test_limits_that_the_engine_cannot_keep_are_not_said(api: APIClient) -> None:
    config = host_config(api, limits=Limits(pids=None))

    assert not {"Memory", "MemorySwap", "NanoCpus", "PidsLimit", "Runtime"} & set(config)


def test_an_empty_entrypoint_is_not_the_images(api: APIClient) -> None:
    assert create_request(api, ContainerSpec("n", "i:1", entrypoint=()))["entrypoint"] == []
    assert create_request(api, ContainerSpec("n", "i:1"))["entrypoint"] is None
