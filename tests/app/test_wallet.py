"""The keystore is opened beside the event loop: that takes most of a second of a processor."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from iexec_worker.app import worker
from iexec_worker.app.checks.run import check
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import Config, load
from iexec_worker.errors import Fatal
from iexec_worker.telemetry import logs
from iexec_worker.telemetry.redaction import Redactor
from iexec_worker.telemetry.tree import Node

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.app.checks.finding import Finding
    from iexec_worker.secret import Secret


@pytest.fixture
def config(tmp_path: Path) -> Config:
    environ = {
        "POOL_ADDRESS": "0x" + 40 * "a",
        "IEXEC_CORE_URL": "http://127.0.0.1:1",
        "IEXEC_WORKER_BASE_DIR": str(tmp_path),
        "IEXEC_WORKER_WALLET_PATH": str(tmp_path / "wallet.json"),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    return load(environ, cpu_count=1).config


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which a keystore is opened; none opens."""
    seen: list[threading.Thread] = []

    def decrypt(path: Path, password: Secret) -> Wallet:
        seen.append(threading.current_thread())
        raise Fatal("it does not open")

    monkeypatch.setattr(Wallet, "decrypt", decrypt)
    return seen


async def test_a_worker_opens_it_in_another_thread(
    config: Config, threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    # This process keeps its log for the tests after this one.
    monkeypatch.setattr(logs, "configure", lambda *_: Redactor())
    with pytest.raises(Fatal, match="it does not open"):
        await worker.run(config, "json", Node("worker"))

    (thread,) = threads
    assert thread is not threading.current_thread()


async def test_so_does_a_check(config: Config, threads: list[threading.Thread]) -> None:
    findings: list[Finding] = []
    await check(config, findings.append)

    assert [found.fact for found in findings if found.name == "wallet"] == ["it does not open"]
    (thread,) = threads
    assert thread is not threading.current_thread()
