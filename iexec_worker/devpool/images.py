"""
Images for demos and tests, made from a static busybox: no registry has to be reached for them.

An image is one layer, imported from a tar archive that is built in memory.
"""

from __future__ import annotations

import io
import shutil
import struct
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import docker
import trio
from attrs import field, frozen

from iexec_worker.errors import EngineRefused, Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
T = TypeVar("T")

#: Seconds for a call of the engine; an import of a few MB takes one.
_TIMEOUT: Final = 120

_APP: Final = Path(__file__).with_name("app.sh")
_INSTALL: Final = "apt-get install -y --no-install-recommends busybox-static"

#: ELF's program header of a binary that needs a dynamic loader.
_PT_INTERP: Final = 3

_APPLETS: Final = ("sh", "cat", "date", "dd", "echo", "env", "ls", "mkdir", "sha256sum", "sleep")


@frozen
class Recipe:
    """What goes into an image: files by absolute path (executable), and how it starts."""

    files: Mapping[str, bytes] = field(factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    ballast: int = 0

    @property
    def changes(self) -> list[str]:
        """The Dockerfile instructions that an import takes."""
        lines = [("ENTRYPOINT", self.entrypoint), ("CMD", self.command)]
        return [
            "ENV PATH=/bin",
            *(f"{name} [{', '.join(map(_quoted, words))}]" for name, words in lines if words),
        ]


def demo_app(*, ballast: int = 0) -> Recipe:
    """
    The app that does what its arguments say; see `app.sh`.

    *ballast*: bytes that no compression makes smaller, for pulls that must take their time.
    """
    return Recipe(
        files={"/app.sh": _APP.read_bytes()}, entrypoint=("/bin/sh", "/app.sh"), ballast=ballast
    )


async def build(host: str, image: str, recipe: Recipe) -> str:
    """
    Make *image* (`name:tag`) in the engine at *host*; returns its id.

    Raises Fatal without a static busybox on this machine, EngineRefused when the engine does.
    """
    layer = await trio.to_thread.run_sync(_layer, recipe)
    repository, _, tag = image.rpartition(":")

    def make(client: docker.DockerClient) -> str:
        client.api.import_image_from_data(
            layer, repository=repository, tag=tag, changes=recipe.changes
        )
        return str(client.images.get(image).id)

    return await call(host, make)


async def push(host: str, image: str, *, username: str = "", password: str = "") -> None:
    """Push *image*, whose name begins with a registry's address; raises EngineRefused."""
    credentials = {"username": username, "password": password} if username else None

    def send(client: docker.DockerClient) -> None:
        for line in client.api.push(image, stream=True, decode=True, auth_config=credentials):
            if "error" in line:
                raise EngineRefused(f"{image} was not pushed: {line['error']}")

    await call(host, send)


async def tag(host: str, image: str, name: str) -> bool:
    """Give *image* another *name* (`name:tag`) too; False if the engine has no such image."""
    repository, _, version = name.rpartition(":")

    def name_it(client: docker.DockerClient) -> bool:
        try:
            return bool(client.images.get(image).tag(repository, version))
        except docker.errors.ImageNotFound:
            return False

    return await call(host, name_it)


async def remove(host: str, image: str) -> None:
    """Remove *image* from the engine, so that the next use of it pulls; absent is fine."""

    def forget(client: docker.DockerClient) -> None:
        try:
            client.images.remove(image, force=True)
        except docker.errors.ImageNotFound:
            return

    await call(host, forget)


async def call(host: str, use: Callable[[docker.DockerClient], T]) -> T:
    """Run *use* with a client of its own in a thread; cancelled, it waits for the call to end."""

    def work() -> T:
        client = docker.DockerClient(base_url=host, timeout=_TIMEOUT)
        try:
            return use(client)
        except docker.errors.APIError as error:
            raise EngineRefused(f"the engine at {host} refused: {error}") from error
        finally:
            client.close()

    return await trio.to_thread.run_sync(work)


def _layer(recipe: Recipe) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        _add(tar, "bin/busybox", _busybox())
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for path, content in recipe.files.items():
            _add(tar, path.lstrip("/"), content)
        for folder in ("tmp", "iexec_in", "iexec_out"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        if recipe.ballast:
            _add(tar, "ballast", _noise(recipe.ballast))
    return archive.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(content)
    tar.addfile(entry, io.BytesIO(content))


def _noise(size: int) -> bytes:
    with Path("/dev/urandom").open("rb") as source:
        return source.read(size)


def _busybox() -> bytes:
    for name in ("busybox-static", "busybox"):
        found = shutil.which(name)
        if found and _is_static(binary := Path(found).read_bytes()):
            return binary
    raise Fatal(f"a statically linked busybox is needed to make images: run `{_INSTALL}` as root")


def _is_static(binary: bytes) -> bool:
    """True iff a 64-bit ELF binary asks for no dynamic loader, which an empty image lacks."""
    if binary[:5] != b"\x7fELF\x02":
        return False
    (offset,) = struct.unpack_from("<Q", binary, 0x20)
    size, count = struct.unpack_from("<HH", binary, 0x36)
    kinds = (struct.unpack_from("<I", binary, offset + i * size)[0] for i in range(count))
    return _PT_INTERP not in kinds


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
