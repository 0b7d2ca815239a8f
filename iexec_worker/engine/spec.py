"""What a container is made from, and the request that says so. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from docker.types import DeviceRequest, LogConfig, Mount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import APIClient

PIDS_LIMIT: Final = 4096
"""Processes and threads of one container: far above any app's need, far below a host's end."""

LOG_LIMIT: Final = "1g"
"""The log's size on the disk, after which its beginning goes. Named with its driver, because an
engine may be set up with one that cannot be read."""


@frozen
class ContainerSpec:
    """
    One container to be.

    *command*, *entrypoint*: None is the image's; an empty *entrypoint* is none at all, an empty
    *command* the image's too. *binds*: existing paths on the engine's host → paths in the
    container, writable. *network* None: the default bridge. *gpus*: all of the engine's.
    *devices*: `host[:container[:rwm]]`. *extra_hosts*: name → address.
    """

    name: str
    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(factory=dict)
    binds: Mapping[str, str] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    network: str | None = None
    gpus: bool = False
    extra_hosts: Mapping[str, str] = field(factory=dict)
    devices: tuple[str, ...] = ()


def host_config(api: APIClient, spec: ContainerSpec) -> dict[str, Any]:
    """What the host gives to the container."""
    gpus = [DeviceRequest(count=-1, capabilities=[["gpu"]])]
    config: dict[str, Any] = api.create_host_config(
        # Not `binds`: the engine would make a missing folder, as root, and hide the mistake.
        mounts=[Mount(target, source, type="bind") for source, target in spec.binds.items()],
        network_mode=spec.network or "default",
        extra_hosts=dict(spec.extra_hosts),
        devices=list(spec.devices),
        device_requests=gpus if spec.gpus else None,
        security_opt=["no-new-privileges"],
        pids_limit=PIDS_LIMIT,
        log_config=LogConfig(type="json-file", config={"max-size": LOG_LIMIT, "max-file": "1"}),
    )
    return config


def create_request(api: APIClient, spec: ContainerSpec) -> dict[str, Any]:
    """The arguments of the SDK's `create_container`."""
    return {
        "image": spec.image,
        "name": spec.name,
        "command": None if spec.command is None else list(spec.command),
        "entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "environment": dict(spec.env),
        "labels": dict(spec.labels),
        "host_config": host_config(api, spec),
        # What an app sees must not depend on a file in the home of the worker's user.
        "use_config_proxy": False,
    }
