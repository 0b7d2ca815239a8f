"""The images for enclaves, made of this machine's Python, in a real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import docker
import pytest

from iexec_worker.devpool import images
from iexec_worker.devpool.tee import enclave_images
from iexec_worker.devpool.tee.enclave.main import NO_TASK_ID
from iexec_worker.devpool.tee.enclave_images import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backstage import Backstage

pytestmark = [pytest.mark.docker, pytest.mark.slow]

NAMES: Final = {part: f"iexec-worker-tests/enclave-{part}:1" for part in PARTS}
LAS: Final = "iexec-worker-tests/las:1"

#: Bytes; a Python with all of its library takes three times as many.
SMALL: Final = 60_000_000


@pytest.fixture(scope="module")
def engine(stage: Backstage, engine_url: str) -> Iterator[docker.DockerClient]:
    stage.run(enclave_images.build, engine_url, NAMES)
    stage.run(enclave_images.build_las, engine_url, LAS)
    client = docker.DockerClient(base_url=engine_url)
    yield client
    client.close()
    for image in (*NAMES.values(), LAS):
        stage.run(images.remove, engine_url, image)


def run(engine: docker.DockerClient, image: str, *words: str) -> tuple[int, str]:
    container = engine.containers.create(image, list(words), cap_drop=["ALL"])
    try:
        container.start()
        return container.wait(timeout=20)["StatusCode"], container.logs().decode()
    finally:
        container.remove(force=True)


def test_pre_and_post_compute_run_though_there_is_nobody_to_tell(
    engine: docker.DockerClient,
) -> None:
    for part in ("pre-compute", "post-compute"):
        assert run(engine, NAMES[part]) == (NO_TASK_ID, "")


def test_the_app_does_as_the_standard_one(engine: docker.DockerClient) -> None:
    assert run(engine, NAMES["app"], "one", "exit=7") == (7, "done: 2 argument(s)\n")


def test_las_takes_connections(engine: docker.DockerClient) -> None:
    las = engine.containers.run(LAS, detach=True)
    try:
        probe = (
            f"until /bin/busybox nc -w 1 127.0.0.1 {enclave_images.LAS_PORT} </dev/null; do :; done"
        )
        assert las.exec_run(["/bin/sh", "-c", probe])[0] == 0
    finally:
        las.remove(force=True)


def test_the_images_are_small_and_of_one_layer(engine: docker.DockerClient) -> None:
    made = [engine.images.get(name).attrs for name in NAMES.values()]
    assert all(image["Size"] < SMALL for image in made)
    assert len({image["RootFS"]["Layers"][0] for image in made}) == 1
