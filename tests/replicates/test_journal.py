"""What survives the process survives the power, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from iexec_worker.replicates.journal import Journal
from iexec_worker.stages.task import Record
from tests import samples

if TYPE_CHECKING:
    import pytest


async def test_a_document_is_on_the_disk_before_its_name_and_the_name_before_anybody_acts_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = Path.replace

    def synced(fd: int) -> None:
        order.append(f"synced {Path(f'/proc/self/fd/{fd}').readlink().name}")

    def renamed(path: Path, target: Path) -> Path:
        order.append(f"renamed {path.name} to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    await Journal(tmp_path).save(Record(samples.authorization()))

    assert order == [
        "synced journal.new",
        "renamed journal.new to journal.json",
        f"synced {samples.TASK}",
    ]
