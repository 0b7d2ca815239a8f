"""What a container is made from, and the request that says so. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from iexec_worker.engine.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import APIClient

LOG_FILES: Final = 2
"""The log is cut by whole files: of two, the last half at least is there."""

_NANO: Final = 10**9


@frozen
class ContainerSpec:
    """
    One container to be.

    *command*, *entrypoint*: None is the image's; an empty *entrypoint* is none at all, an empty
    *command* the image's too. *binds*: existing paths on the engine's host → paths in the
    container, writable. *network* None: the default bridge. *gpus*: all of the engine's.
    *devices*: `host[:container[:rwm]]`. *extra_hosts*: name → address. *limits*: what it gets of
    the machine.
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
    limits: Limits = field(factory=Limits)


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
        **_confinement(spec.limits),
    )
    return config


def _confinement(limits: Limits) -> dict[str, Any]:
    """
    What keeps a container from harming others.

    The engine's own profiles (seccomp, AppArmor, masked paths) stay: nothing here replaces them.
    """
    most = None if limits.memory is None else limits.memory + (limits.swap or 0)
    return {
        "security_opt": ["no-new-privileges"],
        "cap_drop": ["ALL"],
        "cap_add": list(limits.capabilities),
        "ipc_mode": "private",
        "mem_limit": limits.memory,
        # Of memory and swap together. Not given where the engine cannot keep it.
        "memswap_limit": None if limits.swap is None else most,
        "nano_cpus": None if limits.cpus is None else int(limits.cpus * _NANO),
        "pids_limit": limits.pids,
        "oom_score_adj": limits.oom_score_adj,
        "ulimits": [
            Ulimit(name=name, soft=most, hard=most)
            for name, most in (("core", 0), ("nofile", limits.open_files))
            if most is not None
        ],
        "runtime": limits.runtime,
        "read_only": limits.read_only_root,
        # Counts as memory of the container's.
        "tmpfs": {"/tmp": "mode=1777"} if limits.read_only_root else None,  # noqa: S108 - the container's
        # Named with its driver, because an engine may be set up with one that cannot be read.
        "log_config": LogConfig(type="json-file", config=_log_options(limits.log_bytes)),
    }


def _log_options(most: int) -> dict[str, str]:
    return {"max-size": str(most // LOG_FILES), "max-file": str(LOG_FILES)}


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
