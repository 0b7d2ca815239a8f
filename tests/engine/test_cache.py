"""The cache of images on a real engine: what it removes, and what it never touches."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.devpool import images as devpool_images
from iexec_worker.devpool.images import Recipe
from iexec_worker.engine.images.cache import ImageCache
from iexec_worker.engine.images.inventory import Entry, Inventory
from iexec_worker.engine.images.local import Images
from iexec_worker.engine.images.survey import Survey
from iexec_worker.engine.spec import ContainerSpec
from iexec_worker.errors import Declined, PullFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.devpool.registry import Registry
    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.containers import Containers

pytestmark = [pytest.mark.docker, pytest.mark.slow]

#: Bytes; every image has a few MB of busybox besides.
BALLAST = 2_000_000
EACH = 3_000_000


@define(eq=False)
class Store:
    """A registry with some images, an engine without them, and a clock."""

    engine: Engine
    engine_url: str
    registry: Registry
    path: Path
    clock: float = 0
    full: str = ""
    made: list[str] = field(factory=list)

    async def image(self) -> str:
        name = f"{self.registry.address}/tests/{uuid.uuid4().hex}:1"
        await devpool_images.build(self.engine_url, name, Recipe(ballast=BALLAST))
        await devpool_images.push(self.engine_url, name)
        await devpool_images.remove(self.engine_url, name)
        self.made.append(name)
        return name

    def cache(self, *, high: int = 0, low: int = 0, survey: Survey | None = None) -> ImageCache:
        images = Images(self.engine, (), 30, survey)
        inventory = Inventory(self.path / "images.json")
        return ImageCache(images, inventory, high, low, "las.example", self._look, self._now)

    async def pull(self, cache: ImageCache, *images: str) -> None:
        for image in images:
            await cache.pull(image, limit=30, progress=lambda _: None)

    async def here(self, *images: str) -> list[bool]:
        found = Images(self.engine, (), 1)
        return [await found.find(image) is not None for image in images]

    async def _look(self) -> str:
        await trio.lowlevel.checkpoint()
        return self.full

    def _now(self) -> float:
        self.clock += 1
        return self.clock


@pytest.fixture
async def store(
    engine: Engine, engine_url: str, tmp_path: Path, shelf_registry: Registry
) -> AsyncIterator[Store]:
    store = Store(engine, engine_url, shelf_registry, tmp_path)
    yield store
    for image in store.made:
        await devpool_images.remove(engine_url, image)


def nothing() -> tuple[str, ...]:
    return ()


async def test_what_was_not_used_for_longest_goes_down_to_the_low_mark(store: Store) -> None:
    first, second, third = [await store.image() for _ in range(3)]
    cache = store.cache()
    await store.pull(cache, first, second, third, first)
    size = (await cache.images.inspect(first) or pytest.fail("it was pulled")).size
    cache.high, cache.low = 3 * size - 1, 2 * size

    assert await cache.tidy(nothing) == 1

    assert await store.here(first, second, third) == [True, False, True]
    assert await cache.tidy(nothing) == 0


async def test_nothing_goes_below_the_high_mark(store: Store) -> None:
    image = await store.image()
    cache = store.cache(high=10**9)
    await store.pull(cache, image)

    assert await cache.tidy(nothing) == 0
    assert await store.here(image) == [True]


async def test_what_was_here_before_is_never_removed(store: Store) -> None:
    image = await store.image()
    await Images(store.engine, (), 30).pull(image, limit=30)
    cache = store.cache()
    await store.pull(cache, image)

    assert await cache.tidy(nothing) == 0
    assert await store.here(image) == [True]


async def test_what_a_task_needs_stays_until_the_task_is_over(store: Store) -> None:
    image = await store.image()
    cache = store.cache()
    await store.pull(cache, image)

    assert await cache.tidy(lambda: None) == 0
    assert await cache.tidy(lambda: (image, "no name of an image")) == 0
    assert await store.here(image) == [True]
    assert await cache.tidy(nothing) == 1
    assert await store.here(image) == [False]


async def test_what_a_container_was_made_of_stays(store: Store, containers: Containers) -> None:
    image = await store.image()
    cache = store.cache()
    await store.pull(cache, image)
    spec = ContainerSpec(f"tests-{uuid.uuid4().hex}", image, command=("/bin/sleep", "60"))

    async with containers.running(spec):
        assert await cache.tidy(nothing) == 0
    assert await cache.tidy(nothing) == 1


async def test_a_later_life_knows_what_an_earlier_one_pulled(store: Store) -> None:
    image = await store.image()
    await store.pull(store.cache(), image)

    assert await store.cache().tidy(nothing) == 1
    assert await store.here(image) == [False]


async def test_a_pull_that_was_cut_off_by_a_kill_is_known_to_be_ours(store: Store) -> None:
    image = await store.image()
    await Inventory(store.path / "images.json").set(image, Entry(1, ""))
    await Images(store.engine, (), 30).pull(image, limit=30)

    assert await store.cache().tidy(nothing) == 1


async def test_a_failed_pull_leaves_nothing_to_remember(store: Store) -> None:
    cache = store.cache()
    with pytest.raises(PullFailed):
        await store.pull(cache, f"{store.registry.address}/tests/unknown:1")

    assert await cache.tidy(nothing) == 0
    assert cache.inventory.entries == {}


async def test_an_image_that_somebody_put_in_its_place_is_theirs(store: Store) -> None:
    image = await store.image()
    cache = store.cache()
    await store.pull(cache, image)
    await devpool_images.build(store.engine_url, image, Recipe(ballast=BALLAST))

    assert await cache.tidy(nothing) == 0
    assert await store.here(image) == [True]


async def test_what_a_refresh_left_without_a_name_goes_too(store: Store) -> None:
    image = await store.image()
    cache = store.cache(high=10**9)
    await store.pull(cache, image)
    before = await cache.find(image)
    await devpool_images.build(store.engine_url, image, Recipe(ballast=BALLAST))
    await devpool_images.push(store.engine_url, image)
    await store.pull(cache, image)
    assert before is not None

    cache.high = 0
    assert await cache.tidy(nothing) == 2
    assert await store.here(image, before) == [False, False]


async def test_the_workers_own_images_are_not_apps(store: Store) -> None:
    image = await store.image()
    cache = store.cache()
    cache.spared = store.registry.address
    await store.pull(cache, image)

    assert await cache.tidy(nothing) == 0


async def test_a_full_disk_asks_for_room_below_the_marks(store: Store) -> None:
    first, second = await store.image(), await store.image()
    cache = store.cache(high=10**9, low=10**9)
    await store.pull(cache, first, second)
    store.full = "0.5 GB free"

    async def look() -> str:
        # One image was enough.
        return store.full if all(await store.here(first, second)) else ""

    cache.trouble = look
    assert await cache.tidy(nothing) == 1
    assert await store.here(first, second) == [False, True]


async def test_what_proves_too_large_when_it_is_here_is_removed_at_once(store: Store) -> None:
    image = await store.image()
    anything: Any = None
    cache = store.cache(high=10**9, survey=Unpacked(store.engine, anything, 1))

    with pytest.raises(Declined, match="unpacked"):
        await store.pull(cache, image)
    assert await store.here(image) == [False]


async def test_a_list_that_cannot_be_read_costs_room_and_no_task(
    store: Store, log_events: list[dict[str, Any]]
) -> None:
    image = await store.image()
    (store.path / "images.json").write_text("[1, 2")  # one line
    cache = store.cache()
    await store.pull(cache, image)

    assert [e["event"] for e in log_events if e["log_level"] == "warning"] == [
        "images may stay on the engine for ever: their list is not usable"
    ]
    assert list(json.loads((store.path / "images.json").read_text())) == [image]
    assert await cache.tidy(nothing) == 1


class Unpacked(Survey):
    """Learns the size only when the image is here."""

    async def look(self, *_: object) -> None:
        await trio.lowlevel.checkpoint()

    def check_packed(self, *_: object) -> None:
        pass


async def test_a_pull_that_fills_the_disk_is_stopped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def look() -> str:
        await trio.lowlevel.checkpoint()
        return "0.5 GB free" if trio.current_time() >= 20 else ""

    images: Any = Endless()
    nowhere: Any = Memory()
    cache = ImageCache(images, nowhere, 1, 1, "las.example", look, lambda: 0)
    with trio.fail_after(60), pytest.raises(Declined, match=r"stopped on its way: 0\.5 GB free"):
        await cache.pull("app:1", limit=1800, progress=lambda _: None)

    with trio.move_on_after(3) as scope:
        await cache.pull("app:1", limit=1800, progress=lambda _: None)
    assert scope.cancelled_caught


class Endless:
    """Pulls for ever."""

    async def find(self, image: str) -> None:
        await trio.lowlevel.checkpoint()

    inspect = find

    async def pull(self, image: str, *, limit: float, progress: object) -> None:
        await trio.sleep_forever()


class Memory:
    """A list that is written nowhere: the clock does not wait for a disk."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    async def load(self) -> None:
        await trio.lowlevel.checkpoint()

    async def set(self, name: str, entry: Entry) -> None:
        await trio.lowlevel.checkpoint()
        self.entries[name] = entry


async def test_what_the_worker_itself_needs_stays_though_an_app_has_it_too(store: Store) -> None:
    enclave, app = [await store.image() for _ in range(2)]
    cache = store.cache()
    await store.pull(cache, enclave, app)

    await cache.spare(enclave)
    await store.pull(cache, enclave)

    assert await cache.tidy(nothing) == 1
    assert await store.here(enclave, app) == [True, False]


async def test_what_the_worker_pulls_for_itself_is_never_counted(store: Store) -> None:
    image = await store.image()
    cache = store.cache()
    await cache.spare(image)
    await store.pull(cache, image)

    assert await cache.tidy(nothing) == 0
    assert await store.here(image) == [True]
    assert cache.inventory.entries == {}
