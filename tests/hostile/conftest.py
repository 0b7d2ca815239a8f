"""
Apps that attack, confined as requesters' apps are, on a real engine.

The whole pool is not needed for these: what a container may do does not depend on who asked for
it. Tests marked `hostile` take long or load the machine; `make hostile` runs all of them.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from iexec_worker.engine.client import Engine
from iexec_worker.engine.containers import Containers
from tests.hostile.attack import App, Arena, build

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.backstage import Backstage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(__file__).rpartition("/")[0]
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def app(stage: Backstage, engine_url: str) -> App:
    """The image of all attackers."""
    return stage.run(build, engine_url)


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    async with aclosing(Engine(engine_url)) as one:
        yield one


@pytest.fixture
def arena(engine: Engine, app: App, tmp_path: Path) -> Arena:
    return Arena(engine, Containers(engine), app, tmp_path)
