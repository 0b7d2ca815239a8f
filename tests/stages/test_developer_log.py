"""The trees that a developer is shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from iexec_worker.files import remove
from iexec_worker.stages.running.developer_log import MAX_ENTRIES, tree

if TYPE_CHECKING:
    from pathlib import Path


def test_a_tree_is_names_by_line_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").touch()
    (tmp_path / "a").symlink_to("/etc")
    assert tree(tmp_path) == "a\nb\nb/c"
    assert tree(tmp_path / "nothing") == ""


def test_folders_that_are_deeper_than_a_path_can_be_are_cut_short(tmp_path: Path) -> None:
    name, depth = "folder" * 40, 20
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert 0 < len(tree(tmp_path).splitlines()) < depth
    # pytest's own removal would not come to its bottom.
    remove(tmp_path / name)


def test_many_files_do_not_bury_the_log(tmp_path: Path) -> None:
    for number in range(MAX_ENTRIES + 50):
        (tmp_path / str(number)).touch()
    assert len(tree(tmp_path).splitlines()) == MAX_ENTRIES
