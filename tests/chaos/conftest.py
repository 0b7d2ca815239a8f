from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.chaos.sweep import Sweep, sweeping

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE: Final = Path(__file__).parent
_SWEEP: Final = pytest.StashKey[Sweep]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_chaos(item):
            item.add_marker(pytest.mark.slow)
    # Last, when the sweep that began first has come to its end beside the others.
    items.sort(key=_is_chaos)


def _is_chaos(item: pytest.Item) -> bool:
    return item.path.parent == _HERE


def pytest_collection_finish(session: pytest.Session) -> None:
    # At once: it computes while the other tests wait for engines and nodes.
    paths = _swept(session.items)
    if not paths or session.config.option.collectonly:
        return
    stack = ExitStack()
    session.config.add_cleanup(stack.close)
    seed, share = map(session.config.getoption, ("--chaos-seed", "--chaos-share"))
    session.stash[_SWEEP] = stack.enter_context(sweeping(seed, share, paths))


def _swept(items: Sequence[pytest.Item]) -> list[str]:
    """Return the paths that *items* want to see cut."""
    functions = (item for item in items if isinstance(item, pytest.Function))
    return [str(each.callspec.params["path"]) for each in functions if "sweep" in each.fixturenames]


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest) -> Sweep:
    return request.session.stash[_SWEEP]
