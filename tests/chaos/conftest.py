from __future__ import annotations

import random
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
def seed(request: pytest.FixtureRequest) -> int:
    """What all randomness of the sweep comes from."""
    given: int | None = request.config.getoption("--chaos-seed")
    return random.SystemRandom().randrange(10**6) if given is None else given


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest, seed: int) -> Iterator[Sweep]:
    with sweeping(seed, request.config.getoption("--chaos-share")) as sweep:
        yield sweep
