"""The demo app, run by the busybox it lives with."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool import images

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the app with *folder* as its input and output."""
    binary = folder / "busybox"
    binary.write_bytes(images._busybox())
    binary.chmod(0o755)
    (folder / "out").mkdir()
    return subprocess.run(
        [str(binary), "sh", str(images._APP), *words],
        env={"IEXEC_IN": str(folder), "IEXEC_OUT": str(folder / "out"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def computed(folder: Path) -> object:
    return json.loads((folder / "out" / "computed.json").read_text())


def test_the_result_tells_all_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"dataset")
    (tmp_path / "first").write_bytes(b"one")

    done = run(
        tmp_path,
        "hello",
        "two words",
        IEXEC_TASK_INDEX="3",
        IEXEC_BOT_SIZE="5",
        IEXEC_DATASET_FILENAME="data",
        IEXEC_INPUT_FILES_NUMBER="1",
        IEXEC_INPUT_FILE_NAME_1="first",
    )

    assert (done.returncode, done.stdout) == (0, "done: 2 argument(s)\n")
    assert (tmp_path / "out" / "result.txt").read_text().splitlines() == [
        "task index: 3 of 5",
        "argument: [hello]",
        "argument: [two words]",
        f"dataset: {sha256(b'dataset').hexdigest()}  -",
        f"input 1: first {sha256(b'one').hexdigest()}  -",
    ]
    assert computed(tmp_path) == {"deterministic-output-path": f"{tmp_path}/out/result.txt"}


def test_datasets_of_a_bulk_are_told_by_number(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"1")
    (tmp_path / "second").write_bytes(b"2")
    names = {"IEXEC_DATASET_1_FILENAME": "first", "IEXEC_DATASET_2_FILENAME": "second"}
    run(tmp_path, IEXEC_BULK_SLICE_SIZE="2", **names)

    assert (tmp_path / "out" / "result.txt").read_text().splitlines()[1:] == [
        f"bulk 1: {sha256(b'1').hexdigest()}  -",
        f"bulk 2: {sha256(b'2').hexdigest()}  -",
    ]


def test_it_exits_as_told(tmp_path: Path) -> None:
    assert run(tmp_path, "exit=3", "no-computed").returncode == 3
    assert not (tmp_path / "out" / "computed.json").exists()


def test_a_callback_is_told_instead_of_a_path(tmp_path: Path) -> None:
    run(tmp_path, "callback=0xabcd")
    assert computed(tmp_path) == {"callback-data": "0xabcd"}


@pytest.mark.parametrize(("word", "path"), [("directory", "out/result"), ("whole", "out")])
def test_a_result_may_be_a_directory(word: str, path: str, tmp_path: Path) -> None:
    run(tmp_path, word)
    assert computed(tmp_path) == {"deterministic-output-path": f"{tmp_path}/{path}"}
    assert (tmp_path / path).is_dir()


def test_runs_differ_only_when_they_shall(tmp_path: Path) -> None:
    results = []
    for number, words in enumerate([("a",), ("a",), ("differ",), ("differ",)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(folder, *words)
        results.append((folder / "out" / "result.txt").read_text())

    assert results[0] == results[1]
    assert results[2] != results[3]


def test_it_breaks_the_rules_on_demand(tmp_path: Path) -> None:
    done = run(tmp_path, "long-name", "link", "print=3", "size=1000")

    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert any(len(name) > 31 for name in names)
    assert (tmp_path / "out" / "link").is_symlink()
    assert done.stdout.splitlines()[:3] == ["line 0", "line 1", "line 2"]
    assert (tmp_path / "out" / "result.txt").stat().st_size > 1000
