"""For all tests: an ERROR in the log that a test does not expect fails it; an engine for those
that need one."""

from __future__ import annotations

import gc
import logging
import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.backstage import Backstage, backstage

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping


def pytest_addoption(parser: pytest.Parser) -> None:
    # Options have to be known before the folder that uses them is looked at: `tests/chaos`.
    group = parser.getgroup("chaos")
    drawn = random.SystemRandom().randrange(10**6)
    group.addoption(
        "--chaos-seed", type=int, default=drawn, help="repeat the sweep that had this seed"
    )
    group.addoption(
        "--chaos-share", type=float, default=0.1, help="of all points of the sweep (default: 0.1)"
    )
    group.addoption("--chaos-points", type=int, default=6, help="cuts of real workers (default: 6)")
    group.addoption("--chaos-seeds", type=int, default=1, help="kept seeds of chaos (default: 1)")
    parser.addoption("--fuzz-http", type=int, default=5, help="seconds of requests (default: 5)")


def pytest_collection_finish() -> None:
    # What was imported stays: looking for garbage in it, again and again, takes seconds.
    gc.freeze()


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What all randomness of the sweep comes from."""
    drawn: int = pytestconfig.getoption("--chaos-seed")
    return drawn


@pytest.fixture(scope="session", autouse=True)
def hasty_disk() -> Iterator[None]:
    """Nobody cuts the power in a test: what this process writes need not reach the disk first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@pytest.fixture(autouse=True)
def log_events(request: pytest.FixtureRequest) -> Iterator[list[MutableMapping[str, Any]]]:
    """Events logged in this process; mark a test `logs_errors` when it provokes some."""
    with structlog.testing.capture_logs() as events:
        yield events
    errors = [event for event in events if event["log_level"] in ("error", "critical")]
    if errors and request.node.get_closest_marker("logs_errors") is None:
        pytest.fail(f"unexpected errors in the log: {errors}")


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Put back afterwards what `telemetry.logs.configure` changes for the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session")
def stage() -> Iterator[Backstage]:
    """A Trio run for what the whole session shares."""
    # It also logs between tests, where nobody captures it.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with backstage() as stage:
        yield stage


@pytest.fixture(scope="session")
def engine_url(stage: Backstage) -> Iterator[str]:
    """The engine of DOCKER_HOST or of the default socket, else one for this session (as root)."""
    from iexec_worker.devpool.engine import engine

    there = os.environ.get("DOCKER_HOST") or None
    # Not in pytest's folders: those of earlier sessions are removed by later ones, whether or not
    # an engine still has its mounts in them.
    with (
        TemporaryDirectory(prefix="iexec-worker-tests-") as folder,
        stage.hold(engine(Path(folder), host=there)) as found,
    ):
        yield found.host
