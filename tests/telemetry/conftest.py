from __future__ import annotations

import io

import pytest


@pytest.fixture
def stream(own_logging: None) -> io.StringIO:
    """Where a test lets the log go."""
    return io.StringIO()
