"""For all tests: an ERROR in the log that a test does not expect fails it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping


@pytest.fixture(autouse=True)
def log_events(request: pytest.FixtureRequest) -> Iterator[list[MutableMapping[str, Any]]]:
    """Events logged in this process; mark a test `logs_errors` when it provokes some."""
    with structlog.testing.capture_logs() as events:
        yield events
    errors = [event for event in events if event["log_level"] in ("error", "critical")]
    if errors and request.node.get_closest_marker("logs_errors") is None:
        pytest.fail(f"unexpected errors in the log: {errors}")
