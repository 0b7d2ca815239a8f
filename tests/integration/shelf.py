"""The images that tasks ask for: to be had, forbidden, slow in coming, or nowhere."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool import images
from iexec_worker.devpool.registry import Registry, registry
from tests.integration.line import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

#: Bytes that no compression makes smaller; at the rate of the slow line that is 25 seconds.
LARGE: Final = 5_000_000
_SLOWLY: Final = 200_000


@frozen
class Shelf:
    """*images* by what there is to say of them; *slow* and *stalled* are the lines to two."""

    images: Mapping[str, str]
    private: Registry
    locked: Registry
    slow: Line
    stalled: Line

    @property
    def log_ins(self) -> dict[str, str]:
        """A worker's variables: a wrong password of one registry, the right one of the other."""
        prefix = "IEXEC_WORKER_DOCKER_REGISTRY"
        return {
            f"{prefix}_ADDRESS_1": self.locked.address,
            f"{prefix}_USERNAME_1": self.locked.username,
            f"{prefix}_PASSWORD_1": "another password",
            f"{prefix}_ADDRESS_2": self.private.address,
            f"{prefix}_USERNAME_2": self.private.username,
            f"{prefix}_PASSWORD_2": self.private.password,
        }


@asynccontextmanager
async def stock(engine_url: str, open_: Registry, folder: Path) -> AsyncIterator[Shelf]:
    """Make all images but the demo's, away from the engine where a worker must pull them."""
    async with (
        registry(folder / "private", protected=True) as private,
        registry(folder / "locked", protected=True) as locked,
        trio.open_nursery() as nursery,
    ):
        slow: Line = await nursery.start(Line(open_.port, _SLOWLY).run)
        stalled: Line = await nursery.start(Line(open_.port, 0).run)
        there = {
            "demo": f"{open_.address}/demo:1",
            "nowhere": f"{open_.address}/nobody/made-this:1",
            "private": await _publish(engine_url, private, "app", 1_000),
            "locked": await _publish(engine_url, locked, "app", 1_000),
            "slow": _through(slow, await _publish(engine_url, open_, "slow", LARGE)),
            "stalled": _through(stalled, await _publish(engine_url, open_, "stalled", LARGE)),
            # Nobody listens on port 1.
            "local": "127.0.0.1:1/iexec-worker-tests/local:1",
        }
        await images.build(engine_url, there["local"], images.demo_app())
        yield Shelf(there, private, locked, slow, stalled)
        for image in there.values():
            await images.remove(engine_url, image)
        nursery.cancel_scope.cancel()


async def _publish(engine_url: str, where: Registry, name: str, ballast: int) -> str:
    image = f"{where.address}/{name}:1"
    await images.build(engine_url, image, images.demo_app(ballast=ballast))
    await images.push(engine_url, image, username=where.username, password=where.password)
    await images.remove(engine_url, image)
    return image


def _through(line: Line, image: str) -> str:
    return f"127.0.0.1:{line.port}/{image.partition('/')[2]}"
