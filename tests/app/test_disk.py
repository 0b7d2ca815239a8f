from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from iexec_worker.app.disk import Disk

if TYPE_CHECKING:
    from pathlib import Path


def test_room_above_the_floor_is_no_trouble(tmp_path: Path) -> None:
    assert Disk(tmp_path / "not" / "yet" / "there", 1).trouble == ""


def test_too_little_room_is_told_with_what_to_do(tmp_path: Path) -> None:
    floor = shutil.disk_usage(tmp_path).free + 2**40
    assert "IEXEC_WORKER_MIN_FREE_DISK_GB" in Disk(tmp_path, floor).trouble
