"""Images that are looked at in a real registry before a real engine pulls them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import uuid
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
import trio
from attrs import frozen

from iexec_worker.config import Outbound, RegistryCredentials
from iexec_worker.engine.images.local import Images
from iexec_worker.engine.images.manifest import Platform
from iexec_worker.engine.images.reference import parse_reference
from iexec_worker.engine.images.registries import Registries
from iexec_worker.engine.images.survey import Survey, gigabytes
from iexec_worker.errors import Declined, PullFailed, Rejected
from iexec_worker.inputs.guard import Guard
from iexec_worker.secret import Secret
from iexec_worker.transport import make_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from iexec_worker.engine.client import Engine
    from tests.engine.conftest import Shelf

    Stock = Callable[..., AbstractAsyncContextManager[Shelf]]

pytestmark = [pytest.mark.docker, pytest.mark.slow]

HERE: Final = Platform("linux", "amd64")
MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
BALLAST: Final = 4_000_000


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client(Outbound(), timeout=10) as one:
        yield one


def images(
    engine: Engine, client: httpx.AsyncClient, most: int, *logins: RegistryCredentials
) -> Images:
    return Images(engine, logins, 30, Survey(engine, Registries(lambda _: client), most))


async def test_an_image_that_is_too_large_is_not_pulled(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock(ballast=BALLAST) as shelf:
        with trio.fail_after(30), pytest.raises(Declined, match="IEXEC_WORKER_MAX_IMAGE_SIZE_GB"):
            await images(engine, client, BALLAST).pull(shelf.image, limit=30)

        assert await images(engine, client, 1).find(shelf.image) is None
        # Manifest and configuration, and none of the layer.
        assert shelf.line.passed < 100_000


async def test_an_image_within_the_limit_is_pulled(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock(ballast=BALLAST) as shelf:
        await images(engine, client, 4 * BALLAST).pull(shelf.image, limit=30)

        assert await images(engine, client, 1).find(shelf.image)


async def test_an_image_whose_size_nobody_told_is_stopped_on_its_way(
    engine: Engine, stock: Stock
) -> None:
    async with (
        stock(ballast=BALLAST) as shelf,
        # It may not reach the registry, which the engine may.
        make_client(Outbound(), timeout=10, wrap=Guard(()).wrap) as guarded,
    ):
        shelf.line.rate = 1_000_000
        with trio.fail_after(30), pytest.raises(Declined, match="IEXEC_WORKER_MAX_IMAGE_SIZE_GB"):
            await images(engine, guarded, BALLAST).pull(shelf.image, limit=30)

        with trio.fail_after(10):
            await shelf.line.quiet()
        assert await images(engine, guarded, 1).find(shelf.image) is None


async def test_the_size_behind_a_log_in_is_asked_with_it(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock(ballast=BALLAST, protected=True) as shelf:
        login = RegistryCredentials(
            shelf.image.partition("/")[0], shelf.registry.username, Secret(shelf.registry.password)
        )
        with trio.fail_after(30), pytest.raises(Declined, match="GB, more than"):
            await images(engine, client, BALLAST, login).pull(shelf.image, limit=30)

        assert shelf.line.passed < 100_000


async def test_an_image_of_another_platform_is_not_pulled(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock() as shelf:
        image = await Forge(client, shelf).single("arm64")
        with pytest.raises(Declined, match=r"it is for linux/arm64, this engine runs linux/"):
            await images(engine, client, 10**9).pull(image, limit=30)

        assert await images(engine, client, 1).find(image) is None


async def test_of_many_platforms_that_of_the_engine_counts(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock() as shelf:
        version: Callable[[Any], Any] = lambda api: api.version()  # noqa: E731  # fits no def's types
        own = (await engine.call(version))["Arch"]
        forge = Forge(client, shelf)
        small_here = await forge.index({own: 1000, "riscv64": 10**15})
        large_here = await forge.index({own: 10**15, "riscv64": 1000})
        nowhere = await forge.index({"riscv64": 1000})

        await images(engine, client, 10**9).pull(small_here, limit=30)
        with pytest.raises(Declined, match="GB, more than"):
            await images(engine, client, 10**9).pull(large_here, limit=30)
        with pytest.raises(Declined, match="riscv64"):
            await images(engine, client, 10**9).pull(nowhere, limit=30)
        await engine.call(lambda api: api.remove_image(small_here, force=True))


async def test_a_bomb_of_zeros_is_seen_when_it_is_unpacked(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock() as shelf:
        image = await Forge(client, shelf).single("amd64", zeros=50_000_000)
        with pytest.raises(Declined, match="unpacked, more than"):
            await images(engine, client, 10_000_000).pull(image, limit=30)
        await engine.call(lambda api: api.remove_image(image, force=True))


async def test_a_registry_is_not_followed_to_the_host(
    engine: Engine, stock: Stock, nursery: trio.Nursery
) -> None:
    """Who names the registry could have the worker ask for anything beneath `/v2/`."""
    async with (
        stock() as shelf,
        make_client(Outbound(), timeout=10, wrap=Guard(()).wrap) as guarded,
    ):
        asked = shelf.line.passed
        with pytest.raises(Rejected, match="IEXEC_WORKER_ALLOWED_PRIVATE_HOSTS"):
            await Registries(lambda _: guarded).size(parse_reference(shelf.image), HERE, None)
        assert shelf.line.passed == asked


async def test_an_unknown_image_fails_in_the_words_of_the_pull(
    engine: Engine, stock: Stock, client: httpx.AsyncClient
) -> None:
    async with stock() as shelf:
        with pytest.raises(PullFailed, match="not found"):
            await images(engine, client, 10**9).pull(shelf.image + "000", limit=30)


def test_sizes_are_told_as_the_variable_has_them() -> None:
    sizes = (20 * 1024**3, 34.2 * 1024**3, 5 * 1024**2)
    assert [gigabytes(int(size)) for size in sizes] == ["20 GB", "34.2 GB", "0.0049 GB"]


@frozen
class Forge:
    """Puts images of any platform and, as they say, any size on the shelf."""

    client: httpx.AsyncClient
    shelf: Shelf

    async def single(self, architecture: str, *, zeros: int = 0) -> str:
        tag = uuid.uuid4().hex
        await self._put(tag, MANIFEST, await self._manifest(architecture, zeros=zeros))
        return self._named(tag)

    async def index(self, sizes: dict[str, int]) -> str:
        entries = []
        for architecture, size in sizes.items():
            content = await self._manifest(architecture, claimed=size)
            digest = _digest(content)
            await self._put(digest, MANIFEST, content)
            platform = {"os": "linux", "architecture": architecture}
            of = {"mediaType": MANIFEST, "digest": digest, "size": len(content)}
            entries.append({**of, "platform": platform})
        tag = uuid.uuid4().hex
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        await self._put(tag, INDEX, json.dumps(index).encode())
        return self._named(tag)

    async def _manifest(self, architecture: str, *, zeros: int = 0, claimed: int = 0) -> bytes:
        layer = _layer(zeros)
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
        packed = gzip.compress(layer)
        content = json.dumps(config).encode()
        layers = [await self._blob("application/vnd.docker.image.rootfs.diff.tar.gzip", packed)]
        if claimed > len(packed):
            # A layer that is nowhere but in what the manifest says of it.
            layers[0]["size"] = claimed
        parts = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": await self._blob("application/vnd.docker.container.image.v1+json", content),
            "layers": layers,
        }
        return json.dumps(parts).encode()

    async def _blob(self, media: str, content: bytes) -> dict[str, Any]:
        digest = _digest(content)
        begun = await self.client.post(f"{self._base}/blobs/uploads/")
        await self.client.put(
            httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest}),
            content=content,
        )
        return {"mediaType": media, "digest": digest, "size": len(content)}

    async def _put(self, version: str, media: str, content: bytes) -> None:
        url = f"{self._base}/manifests/{version}"
        answer = await self.client.put(url, content=content, headers={"Content-Type": media})
        assert answer.status_code == 201, answer.text

    @property
    def _base(self) -> str:
        return f"http://{self.shelf.registry.address}/v2/{self.shelf.repository}"

    def _named(self, tag: str) -> str:
        return f"127.0.0.1:{self.shelf.line.port}/{self.shelf.repository}:{tag}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _layer(zeros: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("zeros")
        entry.size = zeros
        tar.addfile(entry, io.BytesIO(bytes(zeros)))
        # No two images have the same layers: what is here already is not pulled.
        entry = tarfile.TarInfo(uuid.uuid4().hex)
        tar.addfile(entry)
    return packed.getvalue()
