from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click
import pytest

from iexec_worker import __version__
from iexec_worker.cli import COMMANDS
from iexec_worker.cli import __file__ as package

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    Cli = Callable[..., Result]

POOL = "0x" + "ab" * 20
SECRET = "hunter2"
MODULES = {path.stem for path in Path(package).parent.glob("[a-z]*.py")}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for `run`, and tell how it was started."""
    calls: list[str] = []

    @click.command()
    @click.option("--drain", default="no")
    def command(drain: str) -> None:
        calls.append(drain)

    module = ModuleType("iexec_worker.cli.run")
    vars(module)["command"] = command
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_the_default_command_is_run(cli: Cli, started: list[str]) -> None:
    assert [cli().exit_code, cli("--drain", "yes").exit_code, cli("run").exit_code] == [0, 0, 0]
    assert started == ["no", "yes", "no"]


def test_help_names_every_command_without_importing_one(cli: Cli) -> None:
    output = cli("--help").output

    assert all(f"  {name} " in output for name in ("run", "demo", "pool", "check", "config"))


def test_the_version_names_the_protocol(cli: Cli) -> None:
    assert cli("--version").output == (f"iexec-worker {__version__} (worker protocol 8.6 to 9.2)\n")


def test_an_unknown_command_is_refused(cli: Cli) -> None:
    assert cli("dance").exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODULES & set(COMMANDS)))
def test_a_command_is_found_in_the_module_of_its_name(name: str) -> None:
    module = importlib.import_module(f"iexec_worker.cli.{name}")

    assert isinstance(module.command, click.Command)


def test_the_cli_is_imported_without_the_heavy_libraries() -> None:
    heavy = {"trio", "httpx", "web3", "docker", "rich", "quart", "eth_account", "attrs", "cattrs"}
    script = "import sys, iexec_worker.cli; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)

    assert heavy & set(output.stdout.decode().split()) == set()


def test_every_problem_is_told_on_stderr_with_status_2(cli: Cli) -> None:
    result = cli("config", IEXEC_WORKER_PORT="x", IEXEC_WORKER_GPU_ENABLED="y")

    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.partition("=")[0] for line in result.stderr.splitlines()] == [
        "error: IEXEC_WORKER_PORT",
        "error: POOL_ADDRESS",
        "error: IEXEC_WORKER_GPU_ENABLED",
    ]


def test_config_prints_an_aligned_table(cli: Cli) -> None:
    result = cli("config", POOL_ADDRESS=POOL, IEXEC_CORE_URL="http://core:1")
    lines = result.stdout.splitlines()
    value, source = lines[0].index("VALUE"), lines[0].index("SOURCE")
    cells = {line[:value].rstrip(): (line[value:source].rstrip(), line[source:]) for line in lines}

    assert result.exit_code == 0
    assert cells["IEXEC_WORKER_PORT"] == ("13100", "default")
    assert cells["POOL_ADDRESS"] == (POOL, "environment")
    assert cells["IEXEC_CORE_PORT"] == ("13000", "default (not used: IEXEC_CORE_URL is set)")
    assert cells["DOCKER_HOST"] == ("-", "default")


def test_config_prints_json(cli: Cli) -> None:
    settings = json.loads(cli("config", "--json", POOL_ADDRESS=POOL).stdout)

    assert settings[0] == {
        "name": "IEXEC_WORKER_PORT",
        "value": "13100",
        "source": "default",
        "note": "",
    }


def test_config_masks_secrets_and_warns_on_stderr(cli: Cli) -> None:
    result = cli(
        "config", POOL_ADDRESS=POOL, IEXEC_WORKER_WALLET_PASSWORD=SECRET, IEXEC_WORKER_PROT="1"
    )

    assert SECRET not in result.output
    assert result.stderr.startswith("warning: IEXEC_WORKER_PROT is not a variable")


@pytest.fixture
def keystore(tmp_path: Path) -> dict[str, str]:
    return {
        "IEXEC_WORKER_WALLET_PATH": str(tmp_path / "wallet.json"),
        "IEXEC_WORKER_WALLET_PASSWORD": SECRET,
    }


@pytest.mark.slow
def test_a_new_wallet_has_the_address_it_was_said_to_have(
    cli: Cli, keystore: dict[str, str]
) -> None:
    made = cli("wallet", "new", **keystore)
    shown = cli("wallet", "address", **keystore)
    again = cli("wallet", "new", **keystore)

    assert (made.exit_code, shown.exit_code) == (0, 0)
    assert made.stdout == shown.stdout
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_a_wallet_that_is_missing_is_one_line_and_status_1(
    cli: Cli, keystore: dict[str, str]
) -> None:
    result = cli("wallet", "address", **keystore)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "IEXEC_WORKER_WALLET_PATH" in result.stderr


def test_a_new_wallet_never_gets_the_password_everybody_knows(cli: Cli, tmp_path: Path) -> None:
    result = cli("wallet", "new", "--path", str(tmp_path / "wallet.json"))

    assert result.exit_code == 1
    assert "IEXEC_WORKER_WALLET_PASSWORD" in result.stderr
    assert list(tmp_path.iterdir()) == []
