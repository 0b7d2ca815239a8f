from __future__ import annotations

import pytest


@pytest.fixture
def joined() -> dict[str, str]:
    """The least environment a worker starts with."""
    return {"POOL_ADDRESS": "0x" + "aB" * 20}
