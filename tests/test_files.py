from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from iexec_worker.files import read_json, remove, write_json

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


def test_a_document_is_there_whole_and_one_that_is_none_says_so(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})

    assert read_json(path) == {"a": 2}
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    for bad in ("", "{", 20_000 * "["):
        path.write_text(bad)
        with pytest.raises(ValueError, match=r"Expecting|nested too deep"):
            read_json(path)
