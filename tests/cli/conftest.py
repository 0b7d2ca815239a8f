from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner

from iexec_worker.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    Start = Callable[..., subprocess.Popen[str]]

_OF_THE_WORKER = ("IEXEC_", "POOL_", "HTTP", "NO_PROXY", "DOCKER_")

CACHE: Final = Path(__file__).parents[2] / ".cache"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, own_logging: None) -> Callable[..., Result]:
    """Run the command with these arguments, and these variables of the worker alone."""
    for name in os.environ:
        if name.upper().startswith(_OF_THE_WORKER):
            monkeypatch.delenv(name)

    def run(*args: str, **environ: str) -> Result:
        return CliRunner().invoke(main, args, env=environ)

    return run


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command as a process, as `cli` runs it; what still runs is ended afterwards."""
    running: list[subprocess.Popen[str]] = []

    def start(*args: str, stdin: int | None = None, **environ: str) -> subprocess.Popen[str]:
        clean = {k: v for k, v in os.environ.items() if not k.upper().startswith(_OF_THE_WORKER)}
        process = subprocess.Popen(
            [sys.executable, "-m", "iexec_worker", *args],
            env=clean | {"XDG_CACHE_HOME": str(CACHE)} | environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        # Not killed at once: nobody would remove what it has on the disk and the engine.
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
