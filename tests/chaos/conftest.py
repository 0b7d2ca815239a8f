from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.sweep import sweeping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.sweep import Sweep


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "chaos":
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest, seed: int) -> Iterator[Sweep]:
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    paths = [str(item.callspec.params["path"]) for item in items if "sweep" in item.fixturenames]
    with sweeping(seed, request.config.getoption("--chaos-share"), paths) as sweep:
        yield sweep
