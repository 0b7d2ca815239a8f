"""Pulls from a real registry, over lines that drip or stall."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from iexec_worker.config import RegistryCredentials
from iexec_worker.devpool.images import remove
from iexec_worker.engine.images.local import Images
from iexec_worker.errors import PullFailed, Rejected, Unavailable
from iexec_worker.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.images.progress import PullProgress
    from tests.engine.conftest import Shelf

    Stock = Callable[..., AbstractAsyncContextManager[Shelf]]

pytestmark = [pytest.mark.docker, pytest.mark.slow]

BALLAST = 4_000_000


def images(engine: Engine, *registries: RegistryCredentials, stall: float = 30) -> Images:
    return Images(engine, registries, stall)


async def test_an_image_arrives_with_its_bytes_told(engine: Engine, stock: Stock) -> None:
    told: list[PullProgress] = []
    async with stock(ballast=BALLAST) as shelf:
        shelf.line.rate = 4_000_000
        assert await images(engine).find(shelf.image) is None

        with trio.fail_after(30):
            await images(engine).pull(shelf.image, limit=30, progress=told.append)

        found = await images(engine).find(shelf.image)
        assert found is not None
        assert found.startswith("sha256:")
    assert [step.current for step in told] == sorted(step.current for step in told)
    assert told[-1].current == told[-1].total > BALLAST


async def test_an_image_arrives_by_its_digest(engine: Engine, stock: Stock) -> None:
    async with stock() as shelf:
        await images(engine).pull(shelf.image, limit=30)
        inspect: Callable[[Any], Any] = lambda api: api.inspect_image(shelf.image)  # noqa: E731  # fits no def's types
        (digest,) = (await engine.call(inspect))["RepoDigests"]
        await engine.call(lambda api: api.remove_image(shelf.image, force=True))
        assert await images(engine).find(digest) is None

        await images(engine).pull(digest, limit=30)

        assert await images(engine).find(digest)
        await engine.call(lambda api: api.remove_image(digest, force=True))


async def test_a_pull_slower_than_its_limit_is_stopped(engine: Engine, stock: Stock) -> None:
    async with stock(ballast=BALLAST) as shelf:
        shelf.line.rate = 200_000

        with trio.fail_after(4), pytest.raises(PullFailed, match="after its limit of 1 s"):
            await images(engine).pull(shelf.image, limit=1)

        await stopped(engine, shelf)


async def test_a_pull_that_stalls_is_stopped(engine: Engine, stock: Stock) -> None:
    async with stock(ballast=BALLAST) as shelf:
        shelf.line.budget = 1_000_000

        with trio.fail_after(6), pytest.raises(PullFailed, match="nothing arrived for 1 s"):
            await images(engine, stall=1).pull(shelf.image, limit=30)

        await stopped_when_released(engine, shelf)


async def test_a_registry_that_never_answers_stalls_the_pull(engine: Engine, stock: Stock) -> None:
    async with stock() as shelf:
        shelf.line.budget = 1

        with trio.fail_after(3), pytest.raises(PullFailed, match="nothing arrived"):
            await images(engine, stall=0.5).pull(shelf.image, limit=30)

        await stopped_when_released(engine, shelf)


async def test_a_slow_pull_that_moves_does_not_stall(engine: Engine, stock: Stock) -> None:
    async with stock(ballast=1_000_000) as shelf:
        shelf.line.rate = 500_000

        with trio.fail_after(20):
            await images(engine, stall=1.2).pull(shelf.image, limit=15)


async def test_a_cancelled_pull_stops_the_engine(engine: Engine, stock: Stock) -> None:
    async with stock(ballast=BALLAST) as shelf:
        shelf.line.budget = 1_000_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: images(engine).pull(shelf.image, limit=30))
            with trio.fail_after(10):
                await shelf.line.holding()
            nursery.cancel_scope.cancel()

        await stopped_when_released(engine, shelf)


async def stopped(engine: Engine, shelf: Shelf) -> None:
    """The engine hung up on the registry, has no image, and nobody waits for one."""
    with trio.fail_after(5):
        await shelf.line.quiet()
    assert await images(engine).find(shelf.image) is None
    assert not [t for t in threading.enumerate() if t.name.startswith("engine call")]


async def stopped_when_released(engine: Engine, shelf: Shelf) -> None:
    """Engines of 2021 keep a dead line open that they wait on, and hang up at its next byte."""
    shelf.line.release(rate=200_000)
    await stopped(engine, shelf)


async def test_an_unknown_image_is_a_failed_pull(engine: Engine, stock: Stock) -> None:
    async with stock() as shelf:
        with pytest.raises(PullFailed, match="not found"):
            await images(engine).pull(shelf.image + "000", limit=30)


async def test_an_image_without_tag_is_refused(engine: Engine) -> None:
    with pytest.raises(Rejected, match="no tag"):
        await images(engine).pull("127.0.0.1:1/app", limit=30)


async def test_a_registry_that_is_not_there_is_a_failed_pull(engine: Engine) -> None:
    with pytest.raises(PullFailed, match="connection refused"):
        await images(engine).pull("127.0.0.1:1/app:1", limit=30)


async def test_a_gone_engine_is_no_failed_pull(gone: Engine) -> None:
    with pytest.raises(Unavailable):
        await images(gone).pull("127.0.0.1:1/app:1", limit=30)


async def test_right_credentials_open_a_private_registry(engine: Engine, stock: Stock) -> None:
    async with stock(protected=True) as shelf:
        await images(engine, login(shelf)).pull(shelf.image, limit=30)

        assert await images(engine).find(shelf.image)


async def test_wrong_credentials_are_a_warning_and_then_an_anonymous_pull(
    engine: Engine, stock: Stock, log_events: list[dict[str, Any]]
) -> None:
    async with stock(protected=True) as shelf:
        with pytest.raises(PullFailed, match="no basic auth credentials"):
            await images(engine, login(shelf, "wrong")).pull(shelf.image, limit=30)

    (event,) = log_events
    assert event["event"] == "log-in failed, pulling without"
    assert event["registry"] == f"127.0.0.1:{shelf.line.port}"
    assert "wrong" not in str(event)


async def test_credentials_of_another_port_are_not_used(engine: Engine, stock: Stock) -> None:
    async with stock(protected=True) as shelf:
        other = RegistryCredentials("127.0.0.1", "puller", Secret(shelf.registry.password))
        with pytest.raises(PullFailed, match="no basic auth credentials"):
            await images(engine, other).pull(shelf.image, limit=30)


async def test_credentials_do_not_stay_behind(
    engine: Engine, engine_url: str, stock: Stock
) -> None:
    async with stock(protected=True) as shelf:
        await images(engine, login(shelf)).pull(shelf.image, limit=30)
        await remove(engine_url, shelf.image)

        with pytest.raises(PullFailed, match="no basic auth credentials"):
            await images(engine).pull(shelf.image, limit=30)


def login(shelf: Shelf, password: str | None = None) -> RegistryCredentials:
    address = shelf.image.partition("/")[0]
    secret = Secret(password or shelf.registry.password)
    return RegistryCredentials(address, shelf.registry.username, secret)
