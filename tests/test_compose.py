"""The compose file that operators copy, read as compose and then the worker read it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from iexec_worker.config import load

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).parents[1] / "examples" / "compose.yaml"
SOCKET: Final = "/var/run/docker.sock"

#: What the file asks its `.env` for.
ENV: Final = {"IEXEC_CORE_URL": "https://core.pool.example", "POOL_ADDRESS": "0x" + 40 * "a"}

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def read(environ: Mapping[str, str]) -> dict[str, Any]:
    """The file as compose reads it: first the YAML, then in its texts the variables."""
    found: dict[str, Any] = substituted(yaml.safe_load(FILE.read_text()), environ)
    return found


def substituted(node: Any, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - YAML
    if isinstance(node, dict):
        return {key: substituted(below, environ) for key, below in node.items()}
    if isinstance(node, list):
        return [substituted(below, environ) for below in node]
    if isinstance(node, str):
        return _VARIABLE.sub(lambda found: _value(found, environ), node)
    return node


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, kind, word = found.groups()
    if name in environ:
        return environ[name]
    if kind == "?":
        raise LookupError(f"{name}: {word}")
    return word or ""


@pytest.fixture
def compose() -> dict[str, Any]:
    return read(ENV)


@pytest.fixture
def worker(compose: dict[str, Any]) -> dict[str, Any]:
    service: dict[str, Any] = compose["services"]["worker"]
    return service


@pytest.fixture
def mounts(worker: dict[str, Any]) -> dict[str, str]:
    """Places of the host by those in the container."""
    pairs = (text.split(":")[:2] for text in worker["volumes"])
    return {inside: outside for outside, inside in pairs}


def test_its_env_must_name_pool_and_scheduler() -> None:
    for name in ENV:
        with pytest.raises(LookupError, match=name):
            read({key: value for key, value in ENV.items() if key != name})


def test_the_worker_understands_every_variable(
    worker: dict[str, Any], mounts: dict[str, str], tmp_path: Path
) -> None:
    environ = dict(worker["environment"])
    secret = environ["IEXEC_WORKER_WALLET_PASSWORD_FILE"]
    assert mounts[secret] == "./wallet.password"
    (tmp_path / "wallet.password").write_text("correct horse")
    environ["IEXEC_WORKER_WALLET_PASSWORD_FILE"] = str(tmp_path / "wallet.password")

    loaded = load(environ, cpu_count=2)

    assert loaded.warnings == ()
    config = loaded.config
    assert config.scheduler.url == ENV["IEXEC_CORE_URL"]
    assert config.scheduler.pool_address == ENV["POOL_ADDRESS"]
    assert config.wallet.password.reveal() == "correct horse"
    assert mounts[str(config.wallet.path)] == "./wallet.json"
    # Compose would kill it before its tasks have ended.
    minutes = int(worker["stop_grace_period"].removesuffix("m"))
    assert 60 * minutes > config.supervision.drain_timeout
    assert worker["ports"] == [f"127.0.0.1:{config.worker.port}:{config.worker.port}"]


def test_the_engine_is_the_hosts_and_finds_the_folders_of_tasks(
    worker: dict[str, Any], mounts: dict[str, str]
) -> None:
    base = worker["environment"]["IEXEC_WORKER_BASE_DIR"]

    assert mounts[SOCKET] == SOCKET
    assert mounts[base] == base


def test_it_answers_to_its_name_on_the_network_of_the_tasks(
    compose: dict[str, Any], worker: dict[str, Any]
) -> None:
    ((key, joined),) = worker["networks"].items()

    assert joined == {"aliases": ["worker"]}
    # By its own name: compose would put the project's before it.
    name = worker["environment"]["IEXEC_WORKER_DOCKER_NETWORK_NAME"]
    assert compose["networks"][key] == {"name": name}
