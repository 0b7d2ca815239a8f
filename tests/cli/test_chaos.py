from __future__ import annotations

import json
import os
import signal
import tempfile
from typing import TYPE_CHECKING

import pytest
import trio
from attrs import define, field

from iexec_worker.cli import COMMANDS
from iexec_worker.cli import chaos as command
from iexec_worker.devpool.chaos.evidence import Evidence
from iexec_worker.devpool.chaos.invariants import Breach
from iexec_worker.devpool.chaos.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from iexec_worker.devpool.chaos.options import ChaosOptions
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


def test_ten_minutes_have_three_hundred_faults_and_sixty_tasks() -> None:
    assert command.faults_in(600) >= 300
    assert command.tasks_in(600) >= 60


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


@define(eq=False)
class Rage:
    """What stands for a run: it takes minutes, and breaks nothing."""

    breaches: tuple[Breach, ...] = ()
    asked: list[ChaosOptions] = field(factory=list)

    async def __call__(self, options: ChaosOptions, say: Callable[[str], None]) -> Verdict:
        await trio.lowlevel.checkpoint()
        self.asked.append(options)
        evidence = Evidence((), (), (0.5, 2.0, 9.0))
        return Verdict(options, {"kill": 3}, evidence, {}, self.breaches)


@pytest.fixture
def rage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rage:
    rage = Rage()
    monkeypatch.setattr(command, "run", rage)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return rage


BREACH = Breach("once", "task 7 0x77, worker-1 0x01", "1 contributions, 2 reveals")


def test_a_broken_invariant_is_told_with_the_seed_and_exit_status_1(
    cli: Cli, rage: Rage, tmp_path: Path
) -> None:
    rage.breaches = (BREACH,)
    result = cli("chaos", "--seed", "20")

    assert result.exit_code == 1
    told = result.output.splitlines()
    assert "broken: once: task 7 0x77, worker-1 0x01: 1 contributions, 2 reveals" in told
    (kept,) = tmp_path.iterdir()
    assert f"seed 20; logs and journals are in {kept}" in told
    assert [line.split() for line in told if line.startswith(("faults", "kill "))] == [
        ["faults", "kill", "3"],
        ["kill", "to", "next", "status", "least", "0.5", "s"],
    ]


def test_a_broken_invariant_is_told_as_json_with_exit_status_1(cli: Cli, rage: Rage) -> None:
    rage.breaches = (BREACH,)
    result = cli("chaos", "--seed", "20", "--json")
    verdict = json.loads(result.stdout)

    assert result.exit_code == 1
    assert (verdict["seed"], verdict["recovery"]["median"]) == (20, 2.0)
    assert verdict["breaches"] == [
        {"invariant": "once", "where": BREACH.where, "seen": "1 contributions, 2 reveals"}
    ]


def test_a_run_that_breaks_nothing_has_exit_status_0_and_leaves_nothing(
    cli: Cli, rage: Rage, tmp_path: Path
) -> None:
    result = cli("chaos", "--seed", "20", "--faults", "3,kill", "--tasks", "2")

    assert result.exit_code == 0
    assert "3 faults, 0 tasks taken, no invariant broken (seed 20)" in result.output
    (options,) = rage.asked
    assert (options.faults, options.kinds, options.tasks) == (3, frozenset({"kill"}), 2)
    assert [*tmp_path.iterdir()] == []


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
