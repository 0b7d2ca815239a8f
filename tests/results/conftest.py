"""The output folder of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "output" / "iexec_out").mkdir(parents=True)
    return tmp_path / "output"


@pytest.fixture
def out(output: Path) -> Path:
    return output / "iexec_out"
