from __future__ import annotations

import ipaddress
import uuid
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.engine.networks.named import ensure_network, join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
async def network(engine: Engine) -> AsyncIterator[str]:
    name = f"tests-{uuid.uuid4().hex[:12]}"
    yield name
    await engine.call(lambda api: api.remove_network(name))


async def test_a_network_is_made_once_and_has_the_hosts_address(
    engine: Engine, network: str
) -> None:
    first = await ensure_network(engine, network)

    assert await ensure_network(engine, network) == first
    assert ipaddress.ip_address(first).is_private


async def test_workers_that_start_together_end_up_on_one_network(
    engine: Engine, network: str
) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ensure_network, engine, network)
    await ensure_network(engine, network)

    assert len(await engine.call(lambda api: api.networks(names=[network]))) == 1


async def test_a_container_is_reached_by_its_alias(
    engine: Engine,
    network: str,
    containers: Containers,
    spec: Callable[..., ContainerSpec],
) -> None:
    await ensure_network(engine, network)
    asking = spec("busybox", "nslookup", "worker", network=network)
    async with containers.running(spec("sleep", "60")) as worker:
        await join(engine, network, worker, "worker")
        async with containers.running(asking) as container:
            end = await containers.wait(container, limit=20)
            logs = await containers.logs(container)

    assert end.exit_code == 0, logs
