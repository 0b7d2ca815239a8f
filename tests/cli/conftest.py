from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from iexec_worker.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

_OF_THE_WORKER = ("IEXEC_", "POOL_", "HTTP", "NO_PROXY", "DOCKER_")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command with these arguments, and these variables of the worker alone."""
    for name in os.environ:
        if name.upper().startswith(_OF_THE_WORKER):
            monkeypatch.delenv(name)

    def run(*args: str, **environ: str) -> Result:
        return CliRunner().invoke(main, args, env=environ)

    return run
