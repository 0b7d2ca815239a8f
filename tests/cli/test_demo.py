from __future__ import annotations

import hashlib
import json
import os
import signal
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import docker
import httpx
import pytest

from iexec_worker.devpool import images

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.backstage import Backstage
    from tests.cli.conftest import Start

pytestmark = [pytest.mark.docker, pytest.mark.node, pytest.mark.slow]

APP = b"""#!/bin/sh
echo mine: "$@"
cat "$IEXEC_IN/$IEXEC_DATASET_FILENAME" > "$IEXEC_OUT/copy"
echo '{"deterministic-output-path": "/iexec_out/copy"}' > "$IEXEC_OUT/computed.json"
"""


def ended(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    output, errors = process.communicate(timeout=100)
    return process.returncode, json.loads(output)["tasks"] if output else [], errors


def sha256_of_the_result(archive: str, name: str) -> str:
    with zipfile.ZipFile(archive) as zipped:
        return "0x" + hashlib.sha256(zipped.read(name)).hexdigest()


def processes_about(folder: Path) -> list[str]:
    """The command lines of all processes that have *folder* in theirs."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [line for line in lines if str(folder) in line]


def test_the_demo_proves_its_tasks(start: Start, engine_url: str, tmp_path: Path) -> None:
    args = ("--tasks=2", "--args=one 'and two'", "--json", f"--folder={tmp_path}")
    status, tasks, told = ended(start("demo", *args, DOCKER_HOST=engine_url))

    assert status == 0, told
    assert [task["status"] for task in tasks] == ["COMPLETED", "COMPLETED"]
    for task in tasks:
        digest = sha256_of_the_result(task["archive"], "result.txt")
        assert task["onchain"] == task["recomputed"] == digest
    assert "task 1: worker-1 COMPLETED" in told
    assert processes_about(tmp_path) == []


def test_an_image_of_the_engine_is_run_as_it_is(
    start: Start, stage: Backstage, engine_url: str, tmp_path: Path
) -> None:
    image = f"my-dapp-{os.getpid()}:dev"
    recipe = images.Recipe({"/run.sh": APP}, entrypoint=("/bin/sh", "/run.sh"))
    stage.run(images.build, engine_url, image, recipe)
    dataset = tmp_path / "dataset"
    dataset.write_bytes(b"what is to be known")
    args = (f"--image={image}", "--args=x 'y z'", f"--dataset={dataset}", "--json", "--tasks=1")
    try:
        status, tasks, told = ended(
            start("demo", *args, f"--folder={tmp_path}", DOCKER_HOST=engine_url)
        )
    finally:
        stage.run(images.remove, engine_url, image)

    assert status == 0, told
    (task,) = tasks
    assert task["onchain"] == sha256_of_the_result(task["archive"], "copy")
    assert task["onchain"] == "0x" + hashlib.sha256(dataset.read_bytes()).hexdigest()
    assert task["output"] == "mine: x y z\n"


def test_workers_agree_on_what_a_contract_is_called_with(
    start: Start, engine_url: str, tmp_path: Path
) -> None:
    args = ("--tasks=1", "--trust=3", "--callback", "--json", f"--folder={tmp_path}")
    status, tasks, told = ended(start("demo", *args, DOCKER_HOST=engine_url))

    assert status == 0, told
    assert [(task["status"], task["called"]) for task in tasks] == [("COMPLETED", "0x68656c6c6f")]
    assert "worker-2 COMPLETED" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="root makes device nodes")
@pytest.mark.parametrize("framework", ["scone", "tdx"])
def test_trusted_tasks_are_proved_too(
    framework: str, start: Start, engine_url: str, tmp_path: Path
) -> None:
    dataset = tmp_path / "dataset"
    dataset.write_bytes(b"what is to be known")
    args = (f"--tee={framework}", "--tasks=1", f"--dataset={dataset}", "--args=x", "--json")
    process = start("demo", *args, f"--folder={tmp_path / 'demo'}", DOCKER_HOST=engine_url)
    status, tasks, told = ended(process)

    assert status == 0, told
    (task,) = tasks
    assert task["status"] == "COMPLETED"
    digest = sha256_of_the_result(task["archive"], "result.txt")
    assert task["onchain"] == task["recomputed"] == digest
    log = (tmp_path / "demo" / "workers" / "worker-1.log").read_text()
    assert "call=contributeAndFinalize" in log
    with zipfile.ZipFile(task["archive"]) as zipped:
        seen = zipped.read("result.txt").decode()
    assert hashlib.sha256(dataset.read_bytes()).hexdigest() in seen
    assert processes_about(tmp_path) == []
    client = docker.DockerClient(base_url=engine_url)
    assert [network.name for network in client.networks.list(names=["iexec-pool-"])] == []
    assert client.containers.list(all=True, filters={"name": "iexec-las-"}) == []
    client.close()


def test_a_tee_demo_has_its_own_app(start: Start) -> None:
    process = start("demo", "--tee=tdx", "--image=my-app:1")

    assert "--tee has an app of its own" in process.communicate(timeout=20)[1]
    assert process.returncode == 2


def test_an_app_that_fails_is_status_1_with_what_it_printed(
    start: Start, engine_url: str, tmp_path: Path
) -> None:
    args = ("--tasks=1", "--args=exit=3 no-computed print=2", f"--folder={tmp_path}")
    process = start("demo", *args, DOCKER_HOST=engine_url)
    output = process.communicate(timeout=100)[0]

    assert process.returncode == 1
    assert "task 0: worker-1 told COMPUTE_FAILED (APP_COMPUTE_FAILED)" in output
    assert "the app exited 3" in output
    assert "line 1" in output


def test_ctrl_c_ends_everything(start: Start, engine_url: str, tmp_path: Path) -> None:
    args = ("--tasks=1", "--args=sleep=90", f"--folder={tmp_path}")
    process = start("demo", *args, DOCKER_HOST=engine_url)
    assert process.stdout is not None
    task = ""
    for line in process.stdout:
        if "worker-1 COMPUTING" in line:
            (task,) = [path.name for path in tmp_path.glob("workers/tasks/worker-1/0x*")]
            break
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]

    assert (process.returncode, errors) == (130, "stopped\n")
    assert processes_about(tmp_path) == []
    client = docker.DockerClient(base_url=engine_url)
    assert client.containers.list(all=True, filters={"name": task}, ignore_removed=True) == []
    client.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a file that says `an input`."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "input").write_bytes(b"an input")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/input"
        server.shutdown()
        thread.join()


def test_kept_up_with_more_workers_than_needed_it_stays_until_ctrl_c(
    start: Start, engine_url: str, tmp_path: Path, served: str
) -> None:
    folder = tmp_path / "demo"
    args = ("--tasks=1", "--workers=2", f"--input-file={served}", "--keep", f"--folder={folder}")
    process = start("demo", *args, DOCKER_HOST=engine_url)
    assert process.stdout is not None
    up: dict[str, str] = {}
    for line in process.stdout:
        name, _, url = line.partition(" ")
        up[name] = url.strip()
        if "everything stays up until Ctrl-C" in line:
            break
    for name in ("worker-1", "worker-2"):
        assert httpx.get(up[name], trust_env=False).json()["name"] == "worker"
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=30)[1]

    assert (process.returncode, errors) == (0, "")
    assert processes_about(folder) == []
    (archive,) = folder.glob("results/0-*.zip")
    with zipfile.ZipFile(archive) as zipped:
        result = zipped.read("result.txt").decode()
    name, content = (hashlib.sha256(text).hexdigest() for text in (served.encode(), b"an input"))
    assert f"input 1: 0x{name} {content}  -" in result


def test_too_few_workers_for_the_trust_are_refused(start: Start) -> None:
    process = start("demo", "--trust=5", "--workers=2")

    assert "--trust 5 needs --workers 3" in process.communicate(timeout=20)[1]
    assert process.returncode == 2


def test_without_npm_the_command_that_helps_is_named(
    start: Start, engine_url: str, tmp_path: Path
) -> None:
    # All that is needed before the chain is found, and nothing else.
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("docker-registry", "busybox"):
        found = next(
            p / name for p in map(Path, os.environ["PATH"].split(":")) if (p / name).exists()
        )
        (tools / name).symlink_to(found)
    environ = {"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = start("demo", f"--folder={tmp_path / 'demo'}", DOCKER_HOST=engine_url, **environ)
    errors = process.communicate(timeout=30)[1]

    assert process.returncode == 1
    assert errors.startswith("error: npm is needed")
    assert "apt-get install" in errors
