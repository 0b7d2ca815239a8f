from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from iexec_worker.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from tests.cli.conftest import Start

    Cli = Callable[..., Result]


@pytest.mark.parametrize(
    ("faults", "said"),
    [("earthquake", "earthquake: there are cancel,"), ("kill,flood", "flood: there are")],
)
def test_a_kind_of_fault_that_is_unknown_is_refused(faults: str, said: str, cli: Cli) -> None:
    result = cli("chaos", "--faults", faults)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("duration", ["10", "PT0S", "soon"])
def test_a_duration_that_is_none_is_refused(duration: str, cli: Cli) -> None:
    result = cli("chaos", "--duration", duration)

    assert result.exit_code == 2
    assert "ISO-8601 duration" in " ".join(result.output.split())


def test_the_command_of_chaos_is_not_spoken_of(cli: Cli) -> None:
    assert "interruptible" not in COMMANDS
    assert "interruptible" not in cli("--help").output
    assert cli("interruptible", "--help").exit_code == 0


def test_an_interruptible_worker_wants_the_same_configuration(cli: Cli) -> None:
    result = cli("interruptible")

    assert result.exit_code == 2
    assert "POOL_ADDRESS" in result.output


@pytest.mark.parametrize("cut", ["part", "part@soon", "leg@7"])
def test_a_cut_that_is_none_is_refused(cut: str, cli: Cli) -> None:
    result = cli("interruptible", "--cut", cut)

    assert result.exit_code == 2
    assert "a cut is one of part, root, crash" in " ".join(result.output.split())


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.node
@pytest.mark.skipif(os.geteuid() != 0, reason="an engine that may be killed needs root")
def test_ctrl_c_ends_it_and_names_the_seed(start: Start, tmp_path: Path) -> None:
    process = start("chaos", "--seed", "5", "--workers", "1", "--folder", str(tmp_path))
    assert process.stdout is not None
    while "faults" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "seed 5" in err
    assert not os.path.ismount(tmp_path / "workers" / "worker-1" / "base")
