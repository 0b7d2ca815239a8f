from __future__ import annotations

from typing import Final

import pytest

POOL: Final = "0x" + "aB" * 20


@pytest.fixture
def joined() -> dict[str, str]:
    """The least environment a worker starts with."""
    return {"POOL_ADDRESS": POOL}
