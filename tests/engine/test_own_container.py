from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytest

from iexec_worker.engine.own_container import OwnContainer, on_host, own_container

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers
    from iexec_worker.engine.spec import ContainerSpec

OWN = OwnContainer(
    "id", {PurePath("/host"): PurePath("/"), PurePath("/host/dev"): PurePath("/dev/other")}
)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("/host/sys/module", "/sys/module"),
        ("/host/dev/sgx/enclave", "/dev/other/sgx/enclave"),
        ("/host", "/"),
        ("/hosts/dev", "/hosts/dev"),
        ("/dev/sgx/enclave", "/dev/sgx/enclave"),
    ],
)
def test_the_engine_finds_what_is_mounted_where_it_comes_from(inside: str, outside: str) -> None:
    assert on_host(OWN, Path(inside)) == Path(outside)


def test_outside_of_a_container_paths_are_the_engines() -> None:
    assert on_host(None, Path("/tmp/root/dev")) == Path("/tmp/root/dev")


@pytest.mark.docker
@pytest.mark.slow
async def test_a_container_is_known_by_what_is_mounted_into_it(
    engine: Engine,
    containers: Containers,
    spec: Callable[..., ContainerSpec],
    tmp_path: Path,
) -> None:
    mounts = tmp_path / "mountinfo"
    given = tmp_path / "host"
    given.mkdir()
    async with containers.running(spec("sleep", "60", binds={str(given): "/host"})) as container:
        mounts.write_text(f"1 2 8:1 /var/lib/docker/containers/{container}/hostname /etc/hostname")
        own = await own_container(engine, mounts=mounts)

    assert own is not None
    assert own.id == container
    assert own.on_host(Path("/host/dev")) == given / "dev"


@pytest.mark.docker
@pytest.mark.slow
async def test_a_container_of_another_engine_is_not_ours(engine: Engine, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 2 8:1 /containers/{64 * 'a'}/hostname /etc/hostname rw")

    assert await own_container(engine, mounts=mounts) is None
