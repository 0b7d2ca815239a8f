"""What a worker refuses to start with: its exit status, and one line that says what to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from attrs import frozen

from iexec_worker.devpool import wallets
from iexec_worker.devpool.chain.anvil import anvil
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.scheduler.settings import SchedulerSettings
from iexec_worker.devpool.tools import provide
from iexec_worker.devpool.worker_process import defaults
from tests.cached import CACHE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backstage import Backstage

#: Seconds within which a worker has to give up: imports take two, on a busy machine more.
_LIMIT: Final = 30

_PASSWORD: Final = "correct-horse-battery"


@frozen
class Candidate:
    """A worker that would join *pool* if nothing were wrong."""

    pool: Pool
    folder: Path
    environment: dict[str, str]

    def run(self, **wrong: str | None) -> subprocess.CompletedProcess[str]:
        """Start it with something wrong (None: unset) and wait until it has given up."""
        environ = {
            "PATH": os.environ["PATH"],
            **defaults(self.folder, "candidate"),
            **self.environment,
            **{name: text for name, text in wrong.items() if text is not None},
        }
        for name in [name for name, text in wrong.items() if text is None]:
            del environ[name]
        return subprocess.run(
            [sys.executable, "-m", "iexec_worker", "run"],
            env=environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
        )


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    """The one line that is for the operator."""
    said = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in ended.stderr
    assert _PASSWORD not in ended.stdout + ended.stderr
    (line,) = said
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusals")


@pytest.fixture(scope="module")
def strict_pool(stage: Backstage, folder: Path) -> Iterator[Pool]:
    """A pool that wants a worker of a version there will never be."""
    settings = SchedulerSettings(required_worker_version="99.1.0")
    options = PoolOptions(cache=CACHE, folder=folder / "strict", scheduler=settings)
    with stage.hold(open_pool(options)) as running:
        yield running


@pytest.fixture(scope="module")
def easy_pool(stage: Backstage, folder: Path) -> Iterator[Pool]:
    """A pool that wants a worker of a version that we speak."""
    settings = SchedulerSettings(required_worker_version="8.6.0")
    options = PoolOptions(cache=CACHE, folder=folder / "easy", scheduler=settings)
    with stage.hold(open_pool(options)) as running:
        yield running


@pytest.fixture(scope="module")
def keystore(stage: Backstage, folder: Path) -> wallets.Wallet:
    wallet: wallets.Wallet = stage.run(wallets.make, folder, "wallet")
    return wallet


@pytest.fixture
def candidate(easy_pool: Pool, tmp_path: Path, keystore: wallets.Wallet) -> Candidate:
    environment = easy_pool.environment(keystore.path, keystore.password)
    return Candidate(easy_pool, tmp_path, environment)


@pytest.mark.parametrize("address", [None, "", "0x0"])
def test_without_the_pools_address_nothing_is_contacted(
    candidate: Candidate, address: str | None
) -> None:
    asked = len(candidate.pool.record.exchanges)

    ended = candidate.run(POOL_ADDRESS=address)

    assert ended.returncode == 2
    assert "POOL_ADDRESS" in refusal(ended)
    assert len(candidate.pool.record.exchanges) == asked


def test_a_missing_wallet_is_named_with_its_variable(candidate: Candidate) -> None:
    missing = str(candidate.folder / "nowhere.json")

    ended = candidate.run(IEXEC_WORKER_WALLET_PATH=missing, IEXEC_WORKER_WALLET_PASSWORD=_PASSWORD)

    assert ended.returncode == 1
    line = refusal(ended)
    assert missing in line
    assert "IEXEC_WORKER_WALLET_PATH" in line


def test_a_wrong_password_is_refused_and_printed_nowhere(candidate: Candidate) -> None:
    ended = candidate.run(IEXEC_WORKER_WALLET_PASSWORD=_PASSWORD)

    assert ended.returncode == 1
    assert "IEXEC_WORKER_WALLET_PASSWORD" in refusal(ended)


def test_a_version_that_we_do_not_speak_is_refused(
    candidate: Candidate, strict_pool: Pool, keystore: wallets.Wallet
) -> None:
    ended = candidate.run(**strict_pool.environment(keystore.path, keystore.password))

    assert ended.returncode == 1
    line = refusal(ended)
    assert "99.1.0" in line
    assert re.search(r"speaks \d+\.\d+ to \d+\.\d+", line)
    assert strict_pool.record.calls("POST /workers/register") == []


def test_the_address_of_another_pool_is_refused(
    candidate: Candidate, strict_pool: Pool, keystore: wallets.Wallet
) -> None:
    other = "0x" + 40 * "e"

    ended = candidate.run(POOL_ADDRESS=other)

    assert ended.returncode == 1
    line = refusal(ended)
    assert other in line
    assert candidate.pool.chain.pool_address in line
    assert "IEXEC_CORE_URL" in line


def test_a_node_of_another_chain_is_refused(
    candidate: Candidate, stage: Backstage, tmp_path: Path
) -> None:
    tools = stage.run(provide, CACHE)
    with stage.hold(anvil(tools.anvil, tmp_path / "other.log", chain_id=1234)) as other:
        ended = candidate.run(IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS=other.url)

    assert ended.returncode == 1
    line = refusal(ended)
    assert "1234" in line
    assert "65535" in line
    assert "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS" in line


def test_a_port_that_is_taken_is_refused(candidate: Candidate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = candidate.run(IEXEC_WORKER_PORT=port)

    assert ended.returncode == 1
    line = refusal(ended)
    assert port in line
    assert "IEXEC_WORKER_PORT" in line
