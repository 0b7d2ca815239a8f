from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iexec_worker.stages.removal import remove

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_folder_goes_however_deep_an_app_has_nested_it(tmp_path: Path) -> None:
    top = tmp_path / "iexec_out"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("in", dir_fd=here)
        deeper = os.open("in", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    remove(top)
    assert not top.exists()


def test_a_folder_that_is_not_there_is_fine(tmp_path: Path) -> None:
    remove(tmp_path / "gone")
