"""`scripts/setup` where it may not install anything: it says which command does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[1] / "scripts" / "setup"

#: What every system has.
COMMON: Final = ("bash", "cat", "dirname", "mkdir")

COMMAND: Final = "apt-get install -y --no-install-recommends"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone with nothing but the script, on a machine with nothing but common tools."""
    (tmp_path / "clone" / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "clone" / "scripts")
    (tmp_path / "bin").mkdir()
    for name in COMMON:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def add(bare: Path, name: str, script: str) -> None:
    path = bare / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def setup(bare: Path, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bare / "clone" / "scripts" / "setup", what],
        env={"PATH": str(bare / "bin")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def refused(ended: subprocess.CompletedProcess[str]) -> set[str]:
    """The packages that the command would install which it names."""
    assert (ended.returncode, ended.stdout) == (1, "")
    missing, command = ended.stderr.splitlines()
    assert missing.startswith("setup: these packages of Debian are missing: ")
    assert f"`{COMMAND} " in command
    assert command.endswith("` as root, or what your system has in their place")
    words = command.partition(f"{COMMAND} ")[2].partition("`")[0].split()
    assert words == missing.partition("missing: ")[2].split()
    return set(words)


def test_who_is_not_root_is_told_the_command_and_nothing_is_done(bare: Path) -> None:
    add(bare, "id", "echo 1000")
    add(bare, "apt-get", f"touch {bare}/installed")

    packages = refused(setup(bare, "demo"))

    assert packages >= {"python3", "python3-venv", "npm", "nodejs", "docker-registry"}
    assert not (bare / "installed").exists()
    assert not (bare / "clone" / ".venv").exists()


def test_where_there_is_no_debian_its_packages_are_named(bare: Path) -> None:
    add(bare, "id", "echo 0")

    assert refused(setup(bare, "test")) >= {"npm", "nodejs"}


def test_the_environment_alone_needs_no_engine(bare: Path) -> None:
    add(bare, "id", "echo 1000")

    assert refused(setup(bare, "python")) == {"python3", "python3-venv"}


def test_another_word_is_refused(bare: Path) -> None:
    ended = setup(bare, "everything")

    assert (ended.returncode, ended.stderr) == (
        2,
        "setup: unknown: everything (python, demo, test or hostile)\n",
    )
