"""LAS containers on a real engine, of a registry that wants a log-in."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import define, field

from iexec_worker.config import RegistryCredentials
from iexec_worker.devpool import images as devpool_images
from iexec_worker.devpool.images import Recipe
from iexec_worker.devpool.registry import Registry, registry
from iexec_worker.engine import labels
from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from iexec_worker.engine.images.local import Images
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import Rejected
from iexec_worker.janitor.leftovers import Leftovers
from iexec_worker.secret import Secret
from iexec_worker.tee.las import LasServices
from iexec_worker.tee.sgx import Sgx
from iexec_worker.tee.sgx_host import SgxHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.engine.state import FoundContainer

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SERVE: Final = Recipe(entrypoint=("/bin/busybox", "sleep", "600"))


@define(eq=False)
class Bench:
    """A protected registry, an engine, and a host's root with SGX devices."""

    engine: Engine
    engine_url: str
    registry: Registry
    root: Path
    network: str = field(factory=lambda: f"tests-{uuid.uuid4().hex[:12]}")
    wallet: str = field(factory=lambda: f"0x{uuid.uuid4().hex}{uuid.uuid4().hex[:8]}")
    made: list[str] = field(factory=list)

    @property
    def containers(self) -> Containers:
        return Containers(self.engine)

    async def image(self, *, recipe: Recipe = SERVE, pushed: bool = True) -> str:
        name = f"{self.registry.address}/sconecuratedimages/{uuid.uuid4().hex}:las"
        await devpool_images.build(self.engine_url, name, recipe)
        if pushed:
            username, password = self.registry.username, self.registry.password
            await devpool_images.push(self.engine_url, name, username=username, password=password)
            await devpool_images.remove(self.engine_url, name)
        self.made.append(name)
        return name

    def las(self, *, password: str | None = "", place: str = "") -> LasServices:
        """Make a life of them. *password* None: no log-in is set; empty: the right one."""
        address = self.registry.address
        login = RegistryCredentials(
            address, self.registry.username, Secret(password or self.registry.password)
        )
        images = Images(self.engine, () if password is None else (login,), 30, login_required=True)
        host = SgxHost(self.engine, Sgx("NATIVE", self.root))
        return LasServices(
            self.containers, images, host, self.network, place or address, self.wallet, ()
        )

    async def ours(self) -> tuple[FoundContainer, ...]:
        return await self.containers.list_ours({labels.WALLET: self.wallet})

    async def clean(self) -> None:
        for container in await self.ours():
            await self.containers.remove(container.id)
        for image in self.made:
            await devpool_images.remove(self.engine_url, image)
        if await self.engine.call(lambda api: api.networks(names=[self.network])):
            await self.engine.call(lambda api: api.remove_network(self.network))


@pytest.fixture
async def bench(engine_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    root = tmp_path / "host"
    (root / "dev/sgx").mkdir(parents=True)
    for name in ("enclave", "provision"):
        (root / "dev/sgx" / name).symlink_to("/dev/null")
    async with (
        aclosing(Engine(engine_url)) as engine,
        registry(tmp_path / "registry", protected=True) as running,
    ):
        bench = Bench(engine, engine_url, running, root)
        yield bench
        await bench.clean()


async def test_tasks_share_one_that_is_started_once(bench: Bench) -> None:
    image, las, names = await bench.image(), bench.las(), set[str]()

    async def ask() -> None:
        names.add(await las.running(image, limit=60))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    names.add(await las.running(image, limit=60))

    (name,) = names
    (found,) = await bench.ours()
    assert (found.name, found.running) == (name, True)
    assert name.startswith(f"iexec-las-{bench.wallet}-")
    assert len(name) < 64
    assert las.names() == {name}
    await las.close()
    assert await bench.ours() == ()


async def test_it_is_on_the_network_and_has_the_devices(bench: Bench) -> None:
    name = await bench.las().running(await bench.image(), limit=60)

    inspected = await bench.engine.call(lambda api: api.inspect_container(name))
    assert list(inspected["NetworkSettings"]["Networks"]) == [bench.network]
    given = {one["PathInContainer"] for one in inspected["HostConfig"]["Devices"]}
    assert given == {"/dev/sgx/enclave", "/dev/sgx/provision"}


async def test_each_image_has_its_own(bench: Bench) -> None:
    las = bench.las()
    first = await las.running(await bench.image(), limit=60)
    second = await las.running(await bench.image(), limit=60)

    assert first != second
    assert las.names() == {first, second}


async def test_one_that_has_ended_is_started_again(bench: Bench) -> None:
    image, las = await bench.image(), bench.las()
    name = await las.running(image, limit=60)
    await bench.containers.stop(name)

    assert await las.running(image, limit=60) == name
    found = await bench.containers.find(name)
    assert found is not None
    assert found.running


@pytest.mark.parametrize("place", ["registry.example:5050", "127.0.0.1"])
async def test_an_image_of_another_registry_is_refused(bench: Bench, place: str) -> None:
    image = await bench.image(pushed=False)

    with pytest.raises(Rejected, match="IEXEC_WORKER_SCONTAIN_REGISTRY_NAME"):
        await bench.las(place=place).running(image, limit=60)

    assert await bench.ours() == ()


async def test_without_a_log_in_not_even_an_image_that_is_here_is_used(bench: Bench) -> None:
    image = await bench.image(pushed=False)

    with pytest.raises(Rejected, match="IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME and _PASSWORD"):
        await bench.las(password=None).running(image, limit=60)


async def test_a_log_in_that_is_refused_is_an_error_without_the_password(bench: Bench) -> None:
    image = await bench.image(pushed=False)

    with pytest.raises(Rejected, match=r"log-in to 127\.0\.0\.1:\d+ failed.*401") as refused:
        await bench.las(password="wr0ngPassw0rd").running(image, limit=60)

    assert "wr0ngPassw0rd" not in str(refused.value)
    assert await bench.ours() == ()


async def test_an_image_that_the_registry_has_not_is_refused(bench: Bench) -> None:
    image = f"{bench.registry.address}/sconecuratedimages/none:1"

    with pytest.raises(Rejected, match="none:1"):
        await bench.las().running(image, limit=60)


async def test_an_image_that_is_here_does_while_its_registry_has_none(
    bench: Bench, log_events: list[dict[str, object]]
) -> None:
    image = await bench.image(pushed=False)

    assert await bench.las().running(image, limit=60)

    assert "LAS image not refreshed, the local one is used" in {e["event"] for e in log_events}


async def test_an_image_that_cannot_start_leaves_nothing(bench: Bench) -> None:
    image = await bench.image(recipe=Recipe(entrypoint=("/bin/nothing",)))
    las = bench.las()

    with pytest.raises(Rejected, match="cannot start"):
        await las.running(image, limit=60)

    assert await bench.ours() == ()
    await las.close()


async def test_a_start_that_is_cancelled_is_removed_in_the_end(bench: Bench) -> None:
    image, las = await bench.image(), bench.las()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: las.running(image, limit=60))
        while not las.names():
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    await las.close()
    assert await bench.ours() == ()


async def test_the_janitor_removes_that_of_an_earlier_life_and_not_the_living_one(
    bench: Bench, tmp_path: Path
) -> None:
    image = await bench.image()
    earlier, now = bench.las(), bench.las()
    left = await earlier.running(image, limit=60)
    living = await now.running(image, limit=60)
    task = ContainerSpec(
        f"tests-{uuid.uuid4().hex}",
        image,
        labels={labels.WALLET: bench.wallet, labels.TASK: "0xa"},
    )
    await bench.containers.start(task)
    leftovers = Leftovers(tmp_path, bench.containers, bench.wallet, now.names)

    assert await leftovers.remove_containers(lambda task: task == "0xa") == 1

    assert {one.name for one in await bench.ours()} == {living, task.name}
    assert left != living
