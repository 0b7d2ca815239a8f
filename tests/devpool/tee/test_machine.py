from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool.tee.machine import make_agent, sgx_machine

if TYPE_CHECKING:
    from tests.devpool.tee.conftest import Host

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root makes device nodes")


@needs_root
@pytest.mark.parametrize(
    ("mode", "devices"),
    [("NATIVE", {"dev/sgx/enclave", "dev/sgx/provision"}), ("LEGACY", {"dev/isgx"})],
)
def test_devices_of_a_driver_are_there_and_gone(
    mode: str, devices: set[str], tmp_path: Path
) -> None:
    with sgx_machine(tmp_path, mode) as root:
        found = {path for path in root.rglob("*") if path.is_char_device()}
        assert {str(path.relative_to(root)) for path in found} == devices
        assert {path.stat().st_rdev for path in found} == {Path("/dev/null").stat().st_rdev}
        assert (root / "sys/module/isgx/version").is_file() == (mode == "LEGACY")
        assert stat.S_ISSOCK((root / "var/run/aesmd/aesm.socket").stat().st_mode)
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / (60 * "a") / (60 * "b")
    with sgx_machine(deep) as root:
        assert (root / "var/run/aesmd/aesm.socket").is_socket()


def run(agent: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(agent), *words], cwd=folder, capture_output=True, text=True, check=False, timeout=20
    )


def test_the_agent_writes_the_session_into_the_folder_it_runs_in(
    host: Host, tmp_path: Path
) -> None:
    agent = make_agent(tmp_path / "bin")
    session = {"name": "n", "version": "1", "services": [{"name": "app", "environment": {}}]}
    host.put("/sessions/id", json.dumps(session).encode())
    words = ("-e", host.place, "-i", "id", "-s", "session-0x.json", "-v", "nullverifier")

    done = run(agent, tmp_path, *words)

    assert (done.returncode, done.stdout) == (0, "wrote 1 services to session-0x.json\n")
    assert json.loads((tmp_path / "session-0x.json").read_text()) == session


def test_the_agent_fails_without_a_session(host: Host, tmp_path: Path) -> None:
    agent = make_agent(tmp_path / "bin")
    words = ("-e", host.place, "-i", "id", "-s", "session.json", "-v", "nullverifier")

    done = run(agent, tmp_path, *words)

    assert done.returncode == 1
    assert "no session" in done.stdout
    assert not (tmp_path / "session.json").exists()
