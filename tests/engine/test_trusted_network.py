"""How containers of trusted tasks find the worker, wherever it runs."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from attrs import frozen

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


@frozen
class Place:
    """A network that is removed afterwards, and a worker on it: nowhere, or in a container."""

    network: TrustedNetwork
    containers: Containers
    spec: Callable[..., ContainerSpec]

    @property
    def engine(self) -> Engine:
        return self.network.engine

    @property
    def name(self) -> str:
        return self.network.name

    @asynccontextmanager
    async def worker(self, *, aliases: str = "", **more: str) -> AsyncIterator[str]:
        """Be in a container, which is yielded."""
        async with self.containers.running(self.spec("sleep", "60", **more)) as container:
            if aliases:
                await join(self.engine, self.name, container, aliases)
            self.network.mounts.write_text(
                f"1 2 8:1 /var/lib/docker/containers/{container}/hostname /etc/hostname"
            )
            yield container

    async def ask(self, *words: str, **more: object) -> tuple[int, str]:
        """Run *words* in a container on the network; returns its status and what it said."""
        asking = self.spec(*words, network=self.name, **more)
        async with self.containers.running(asking) as container:
            end = await self.containers.wait(container, limit=20)
            return end.exit_code, (await self.containers.logs(container)).stdout


@pytest.fixture
async def place(
    engine: Engine, containers: Containers, spec: Callable[..., ContainerSpec], tmp_path: Path
) -> AsyncIterator[Place]:
    mounts = tmp_path / "mountinfo"
    await trio.Path(mounts).write_text("")
    network = TrustedNetwork(engine, f"tests-{uuid.uuid4().hex[:12]}", mounts)
    yield Place(network, containers, spec)
    await engine.call(lambda api: api.remove_network(network.name))


async def greet(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(GREETING)
    await stream.aclose()


async def test_a_worker_on_the_host_is_reached_by_its_name(place: Place) -> None:
    hosts = await place.network.ready()
    assert list(hosts) == [ALIAS]
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=hosts[ALIAS])
        nursery.start_soon(trio.serve_listeners, greet, listeners)
        url = f"http://{ALIAS}:{listeners[0].socket.getsockname()[1]}"
        said = await place.ask("busybox", "wget", "-q", "-O-", url, extra_hosts=hosts)
        nursery.cancel_scope.cancel()
    assert said == (0, "the worker")


async def test_a_worker_in_a_container_joins_and_is_reached_by_its_name(place: Place) -> None:
    async with place.worker() as worker:
        assert await place.network.ready() == {}
        assert await place.network.ready() == {}, "for the next task"
        status, said = await place.ask("busybox", "nslookup", ALIAS)
        joined = await place.engine.call(lambda api: api.inspect_container(worker))
        address = joined["NetworkSettings"]["Networks"][place.name]["IPAddress"]
        assert place.network.has(address)
    assert status == 0, said


async def test_a_worker_that_is_there_under_another_name_is_told_by_its_address(
    place: Place,
) -> None:
    await ensure_network(place.engine, place.name)
    async with place.worker(aliases="iexec-worker"):
        hosts = await place.network.ready()
        assert place.network.has(hosts[ALIAS])


async def test_a_worker_in_the_host_s_own_network_is_reached_on_the_host(place: Place) -> None:
    gateway = await ensure_network(place.engine, place.name)
    async with place.worker(network="host"):
        assert await place.network.ready() == {ALIAS: gateway}
