from __future__ import annotations

import json
import os
import select
import signal
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from iexec_worker.devpool.chain.tags import tag_of
from iexec_worker.devpool.child import children
from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.cli.conftest import Start

pytestmark = [pytest.mark.node, pytest.mark.slow]

FREE = [f"--{name}=0" for name in ("port", "node-port", "result-proxy-port", "config-server-port")]


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON document that it prints when it is up."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    result: dict[str, Any] = json.loads(text)
    return result


def test_a_pool_is_up_until_sigterm(start: Start, tmp_path: Path) -> None:
    process = start("pool", "--json", "--folder", str(tmp_path), "--version", "9.1.0", *FREE)
    pool = told(process)
    version = httpx.get(f"{pool['scheduler']}/version", trust_env=False).text
    process.send_signal(signal.SIGTERM)

    assert (version, process.wait(timeout=20)) == ("9.1.0", 0)
    with pytest.raises(httpx.ConnectError):
        httpx.get(pool["scheduler"], trust_env=False)


def test_a_pool_that_is_killed_leaves_no_chain_behind(start: Start, tmp_path: Path) -> None:
    process = start("pool", "--json", "--folder", str(tmp_path), *FREE)
    told(process)
    (chain,) = children(process.pid)
    left = os.pidfd_open(chain)
    process.kill()

    # Readable when it has ended.
    ended, _, _ = select.select([left], [], [], 20)
    os.close(left)
    assert ended == [left]


def test_its_environment_lets_a_worker_in(start: Start, tmp_path: Path) -> None:
    pool = told(start("pool", "--json", "--folder", str(tmp_path), "--workers", "2", *FREE))
    first, second = pool["workers"]
    check = start("check", "--json", **second)
    findings = {f["name"]: f["level"] for f in json.loads(check.communicate(timeout=30)[0])}

    assert first["IEXEC_WORKER_WALLET_PATH"] != second["IEXEC_WORKER_WALLET_PATH"]
    assert {first["IEXEC_WORKER_NAME"], second["IEXEC_WORKER_NAME"]} == {"worker-1", "worker-2"}
    assert {findings[name] for name in ("wallet", "login", "chain id", "gas", "stake")} == {"ok"}


@pytest.mark.docker
def test_one_for_trusted_tasks_lets_a_worker_in_that_takes_them(
    start: Start, tmp_path: Path, engine_url: str
) -> None:
    arguments = ("--tee", "tdx", "--json", "--folder", str(tmp_path), *FREE)
    process = start("pool", *arguments, DOCKER_HOST=engine_url)
    pool = told(process)
    (worker,) = pool["workers"]
    check = start("check", "--json", **worker)
    findings = {f["name"]: f["level"] for f in json.loads(check.communicate(timeout=30)[0])}
    orders = json.loads((tmp_path / "sdk" / "orders-tdx.json").read_text())

    assert worker["DOCKER_HOST"] == engine_url
    assert {findings[name] for name in ("engine", "login")} == {"ok"}
    assert os.access(worker["IEXEC_WORKER_TDX_AGENT"], os.X_OK)
    assert orders[str(pool["chainId"])]["workerpoolorder"]["tag"] == tag_of(TeeFramework.TDX)
    assert pool["trustedApp"].endswith("/iexec-demo-app:1.0")

    process.terminate()
    assert process.wait(timeout=20) == 0
    assert not (tmp_path / "trust").exists()


def test_it_describes_its_chain_for_the_sdk(start: Start, tmp_path: Path) -> None:
    pool = told(start("pool", "--json", "--folder", str(tmp_path), *FREE))
    names = ("chain.json", "wallet.json", "orders.json")
    written, wallet, orders = (json.loads((tmp_path / "sdk" / name).read_text()) for name in names)
    chain = written["chains"][written["default"]]
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_getCode", "params": [chain["hub"], "latest"]}
    code = httpx.post(chain["host"], json=asked, trust_env=False).json()["result"]

    assert pool["chainJson"] == str(tmp_path / "sdk" / "chain.json")
    assert wallet["privateKey"] == pool["requesterKeys"][0]
    assert orders[chain["id"]]["workerpoolorder"]["workerpool"] == pool["pool"]
    assert chain["id"] == str(pool["chainId"])
    assert len(code) > 100


def test_in_a_shell_it_is_exports_and_comments(start: Start, tmp_path: Path) -> None:
    process = start("pool", "--folder", str(tmp_path), *FREE)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if "until Ctrl-C" in line:
            break

    assert {line.split()[0] for line in lines if line} == {"#", "export"}
    assert any(line.startswith("export POOL_ADDRESS=0x") for line in lines)


def test_a_port_that_is_taken_is_named_with_its_option(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start("pool", "--node-port", str(port), "--port", "0")
        errors = process.communicate(timeout=20)[1]

    assert process.returncode == 1
    assert errors.startswith(f"error: cannot listen on 127.0.0.1 port {port}: Address already in")
    assert "--node-port" in errors


def test_a_version_is_three_numbers(start: Start) -> None:
    process = start("pool", "--version", "nine")

    assert "such as 9.3.0" in process.communicate(timeout=20)[1]
    assert process.returncode == 2
