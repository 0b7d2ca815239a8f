"""The image of the worker, built where nothing can be pulled: from a base and wheels of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import docker
import pytest
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
CACHE: Final = ROOT / ".cache" / "image-base"

#: The release of Debian with the Python that the wheels are for, which is the one that runs this.
_RELEASES: Final = {(3, 11): "bookworm", (3, 13): "trixie"}

_PACKAGES: Final = "python3,python3-venv,curl,tini,ca-certificates"

#: What a container has no use for, half of the base.
_USELESS: Final = (
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
)

#: What the image is told of its source; nobody looks there.
SOURCE: Final = "https://source.example/iexec-worker"

_CONTEXT: Final = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE")

#: Seconds for a step of the build: pip unpacks and compiles fifty packages.
_LIMIT: Final = 240


@frozen
class WorkerImage:
    """The worker's image in the engine; *group* is the number of the group with the socket."""

    tag: str
    base: str
    socket: Path
    group: int


@contextmanager
def worker_image(client: docker.APIClient, socket: Path) -> Iterator[WorkerImage]:
    """Build the image for the engine at *socket*; it and its base are gone afterwards."""
    name, group = f"iexec-worker-tests/{uuid4().hex}", socket.stat().st_gid
    image = WorkerImage(f"{name}/worker:1", f"{name}/base:1", socket, group)
    client.import_image_from_file(str(base()), repository=f"{name}/base", tag="1")
    (base_id,) = client.images(f"{name}/base", quiet=True)
    try:
        _build(client, image)
        yield image
    finally:
        _remove(client, image, base_id)


def base() -> Path:
    """The root of a minimal Debian as a tar archive, made once."""
    release = _RELEASES.get(sys.version_info[:2])
    if release is None:
        pytest.skip(
            f"no release of Debian has Python {sys.version_info.major}.{sys.version_info.minor}"
        )
    archive = CACHE / f"{release}.tar"
    if not archive.exists():
        if os.geteuid() != 0:
            pytest.skip("debootstrap needs root")
        _bootstrap(release, archive)
    return archive


def _bootstrap(release: str, archive: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as name:
        folder, packed = Path(name) / "root", Path(name) / archive.name
        path = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"
        tool = shutil.which("debootstrap", path=path)
        assert tool is not None, "debootstrap is missing: run `scripts/setup test`"
        _run(tool, "--variant=minbase", f"--include={_PACKAGES}", release, str(folder))
        left_out = [f"--exclude={pattern}" for pattern in _USELESS]
        _run("tar", "-C", str(folder), "--one-file-system", *left_out, "-cf", str(packed), ".")
        packed.rename(archive)


def _build(client: docker.APIClient, image: WorkerImage) -> None:
    """Build from a copy of what the image is made of, and wheels: nothing comes by network."""
    with TemporaryDirectory(prefix="iexec-worker-image-") as name:
        context = Path(name)
        for file in _CONTEXT:
            shutil.copy(ROOT / file, context / file)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "iexec_worker", context / "iexec_worker", ignore=ignored)
        # The first is what our own package is built with.
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
        _run(*pip, "wheel", "--wheel-dir", str(context / "wheelhouse"), "hatchling", name)
        arguments = {"BASE": image.base, "DOCKER_GID": str(image.group), "SOURCE": SOURCE}
        said = list(
            client.build(
                path=name, tag=image.tag, buildargs=arguments, rm=True, forcerm=True, decode=True
            )
        )
    errors = [line["error"] for line in said if "error" in line]
    assert not errors, "".join(str(line.get("stream", "")) for line in said) + errors[0]


def _remove(client: docker.APIClient, image: WorkerImage, base_id: str) -> None:
    """Remove the image, the stage that has no name, and the base, with the steps between them."""
    api: Any = client
    unnamed = [found["Id"] for found in api.images(filters={"dangling": True})]
    stages = [
        found for found in unnamed if any(step["Id"] == base_id for step in api.history(found))
    ]
    for one in (image.tag, *stages, image.base):
        try:
            client.remove_image(one, force=True)
        except docker.errors.ImageNotFound:
            continue


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT)
    assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}"
