"""How containers of trusted tasks find the worker, wherever it runs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.engine.networks.named import ensure_network, join
from iexec_worker.engine.networks.trusted import ALIAS, TrustedNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec

pytestmark = [pytest.mark.docker, pytest.mark.slow]

GREETING = b"HTTP/1.0 200 OK\r\n\r\nthe worker"


@pytest.fixture
async def name(engine: Engine) -> AsyncIterator[str]:
    name = f"tests-{uuid.uuid4().hex[:12]}"
    yield name
    await engine.call(lambda api: api.remove_network(name))


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """What tells a process in which container it is; none at first."""
    path = tmp_path / "mountinfo"
    path.write_text("")
    return path


def inside(mounts: Path, container: str) -> None:
    mounts.write_text(f"1 2 8:1 /var/lib/docker/containers/{container}/hostname /etc/hostname")


async def greet(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(GREETING)
    await stream.aclose()


async def test_a_worker_on_the_host_is_reached_by_its_name(
    *,
    engine: Engine,
    name: str,
    mounts: Path,
    containers: Containers,
    spec: Callable[..., ContainerSpec],
) -> None:
    network = TrustedNetwork(engine, name, mounts)
    hosts = await network.ready()
    assert list(hosts) == [ALIAS]
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=hosts[ALIAS])
        nursery.start_soon(trio.serve_listeners, greet, listeners)
        port = listeners[0].socket.getsockname()[1]
        words = ("busybox", "wget", "-q", "-O-", f"http://{ALIAS}:{port}")
        asking = spec(*words, network=name, extra_hosts=hosts)
        async with containers.running(asking) as container:
            end = await containers.wait(container, limit=20)
            logs = await containers.logs(container)
        nursery.cancel_scope.cancel()
    assert (end.exit_code, logs.stdout) == (0, "the worker"), logs


async def test_a_worker_in_a_container_joins_and_is_reached_by_its_name(
    *,
    engine: Engine,
    name: str,
    mounts: Path,
    containers: Containers,
    spec: Callable[..., ContainerSpec],
) -> None:
    network = TrustedNetwork(engine, name, mounts)
    asking = spec("busybox", "nslookup", ALIAS, network=name)
    async with containers.running(spec("sleep", "60")) as worker:
        inside(mounts, worker)
        assert await network.ready() == {}
        assert await network.ready() == {}, "for the next task"
        async with containers.running(asking) as container:
            end = await containers.wait(container, limit=20)
            logs = await containers.logs(container)
        joined = await engine.call(lambda api: api.inspect_container(worker))
        address = joined["NetworkSettings"]["Networks"][name]["IPAddress"]
        assert network.has(address)
    assert end.exit_code == 0, logs


async def test_a_worker_that_is_there_under_another_name_is_told_by_its_address(
    *,
    engine: Engine,
    name: str,
    mounts: Path,
    containers: Containers,
    spec: Callable[..., ContainerSpec],
) -> None:
    network = TrustedNetwork(engine, name, mounts)
    await ensure_network(engine, name)
    async with containers.running(spec("sleep", "60")) as worker:
        await join(engine, name, worker, "iexec-worker")
        inside(mounts, worker)
        hosts = await network.ready()
        assert network.has(hosts[ALIAS])


async def test_a_worker_in_the_host_s_own_network_is_reached_on_the_host(
    *,
    engine: Engine,
    name: str,
    mounts: Path,
    containers: Containers,
    spec: Callable[..., ContainerSpec],
) -> None:
    network = TrustedNetwork(engine, name, mounts)
    gateway = await ensure_network(engine, name)
    async with containers.running(spec("sleep", "60", network="host")) as worker:
        inside(mounts, worker)
        assert await network.ready() == {ALIAS: gateway}
