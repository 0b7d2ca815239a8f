"""A part that fails too often ends the process, as an operator's service manager sees it."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from iexec_worker.chain.wallet import Wallet
from iexec_worker.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Start


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_part_that_fails_too_often_ends_the_process_with_status_1(
    start: Start, tmp_path: Path
) -> None:
    Wallet.create(tmp_path / "wallet.json", Secret("x"))
    process = start(
        "interruptible",
        stdin=subprocess.PIPE,
        POOL_ADDRESS="0x" + 40 * "a",
        # Nobody listens there, and nobody may: it is no port of TCP's own.
        IEXEC_CORE_URL="http://127.0.0.1:1",
        IEXEC_WORKER_WALLET_PATH=str(tmp_path / "wallet.json"),
        IEXEC_WORKER_WALLET_PASSWORD="x",
        IEXEC_WORKER_BASE_DIR=str(tmp_path),
        IEXEC_WORKER_PORT=free_port(),
        IEXEC_WORKER_LOG_FORMAT="json",
        # Starting again takes seconds, on a busy machine perhaps a minute.
        IEXEC_WORKER_RESTART_PERIOD="PT10M",
        DOCKER_HOST=f"unix://{tmp_path}/none.sock",
    )
    assert process.stdin is not None
    assert process.stderr is not None
    cuts, said = 0, ""
    for said in process.stderr:
        event = json.loads(said) if said.startswith("{") else {}
        if (event.get("part"), event.get("state")) == ("server", "running"):
            cuts += 1
            process.stdin.write("interrupt worker/server\n")
            process.stdin.flush()

    assert (cuts, process.wait(timeout=20)) == (4, 1), said
    assert said == "error: server failed 4 times within 600 s; the last time: interrupted\n"
