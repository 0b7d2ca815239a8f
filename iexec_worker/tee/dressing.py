"""What every framework adds to a container. Sans-IO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from iexec_worker.engine.command import split_command
from iexec_worker.tee.model import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.tee.model import TeeState

Hosts = tuple[tuple[str, str], ...]


def with_env(spec: ContainerSpec, env: Mapping[str, str]) -> ContainerSpec:
    """Return *spec* with *env* beside what it has."""
    return attrs.evolve(spec, env={**spec.env, **env})


def with_hosts(spec: ContainerSpec, part: Part, hosts: Hosts) -> ContainerSpec:
    """Return *spec* with the operator's *hosts*, which an app is not to know."""
    if part is Part.APP:
        return spec
    return attrs.evolve(spec, extra_hosts={**spec.extra_hosts, **dict(hosts)})


def with_entrypoint(spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
    """Return *spec* with the entrypoint that the SMS has for it; an app has its image's."""
    service = state.services.of(part)
    if part is Part.APP or service is None:
        return spec
    return attrs.evolve(spec, entrypoint=split_command(service.entrypoint))
