from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest
import trio

from iexec_worker.devpool.child import children, find
from iexec_worker.devpool.engine import Engine, engine
from iexec_worker.devpool.images import Recipe, build, demo_app, push, remove
from iexec_worker.devpool.registry import Registry, registry
from iexec_worker.devpool.slow import serve_slowly
from iexec_worker.errors import EngineRefused, Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOWHERE = "unix:///nowhere/docker.sock"

own_engine = pytest.mark.skipif(
    os.geteuid() != 0 or find("dockerd") is None,
    reason="an own engine needs root and dockerd",
)


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Engine]:
    async with engine(tmp_path / "engine", host=NOWHERE) as running:
        yield running


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[Registry]:
    async with registry(tmp_path / "registry", protected=True) as running:
        yield running


def client(host: str) -> docker.DockerClient:
    return docker.DockerClient(base_url=host, timeout=30)


def started_by(folder: Path) -> list[int]:
    """The processes of the engine whose socket is in *folder*."""
    found = []
    for line in [*Path("/proc").glob("[0-9]*/cmdline")]:
        # Others come and go.
        with suppress(OSError):
            if f"\0{folder}/" in line.read_text():
                found.append(int(line.parent.name))
    return found


def pull(host: str, image: str, registry_: Registry) -> None:
    credentials = {"username": registry_.username, "password": registry_.password}
    with_ = client(host)
    try:
        with_.images.pull(image, auth_config=credentials)
    finally:
        with_.close()


def run(host: str, image: str, command: str = "") -> str:
    with_ = client(host)
    try:
        return str(with_.containers.run(image, command, remove=True).decode())
    finally:
        with_.close()


def bridges() -> set[str]:
    return {path.name for path in Path("/sys/class/net").glob("br-*")}


def mounted(folder: Path) -> bool:
    return str(folder) in Path("/proc/mounts").read_text()


def names(*folders: Path) -> set[str]:
    return {path.name for folder in folders for path in folder.iterdir()}


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_an_own_engine_goes_with_its_scope_and_leaves_nothing(tmp_path: Path) -> None:
    before = bridges()
    async with engine(tmp_path / "engine", host=NOWHERE) as own:
        assert own.own
        await build(own.host, "app:1", demo_app())
        with_ = client(own.host)
        with_.networks.create("a-network")
        with_.containers.run("app:1", "sleep=600", detach=True, network="a-network")
        with_.close()
        folder = Path(own.host.removeprefix("unix://")).parent
        pid = (folder / "pid").read_text().strip()
        assert bridges() != before
        assert {folder.name, "docker.sock", pid} <= names(folder.parent, folder, Path("/proc"))

    assert {folder.name, pid}.isdisjoint(names(folder.parent, Path("/proc")))
    assert bridges() == before
    assert not mounted(tmp_path)


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_a_killed_engine_leaves_no_mounts(tmp_path: Path) -> None:
    async with engine(tmp_path / "engine", host=NOWHERE) as own:
        pid = (Path(own.host.removeprefix("unix://")).parent / "pid").read_text()
        assert mounted(tmp_path)
        os.kill(int(pid), signal.SIGKILL)

    assert not mounted(tmp_path)


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_a_killed_engine_leaves_no_processes(tmp_path: Path) -> None:
    async with engine(tmp_path / "engine", host=NOWHERE) as own:
        await build(own.host, "app:1", demo_app())
        with_ = client(own.host)
        app = with_.containers.run("app:1", "sleep=600", detach=True)
        app.reload()
        with_.close()
        folder = Path(own.host.removeprefix("unix://")).parent
        dockerd = int((folder / "pid").read_text())
        found = [app.attrs["State"]["Pid"], *started_by(folder)]
        assert dockerd in found
        running = [os.pidfd_open(pid) for pid in found]
        os.kill(dockerd, signal.SIGKILL)

    # Readable when they have ended.
    ended = [select.select([each], [], [], 10)[0] for each in running]
    for each in running:
        os.close(each)
    assert ended == [[each] for each in running]


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_an_engine_that_answers_is_used(own: Engine, tmp_path: Path) -> None:
    async with engine(tmp_path / "unused", host=own.host) as found:
        assert found == Engine(own.host, own=False)

    async with engine(tmp_path / "unused", host=own.host):
        pass
    assert not (tmp_path / "unused").exists()


async def test_without_root_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(Fatal, match=r"no container engine answers at \S+: start one"):
        async with engine(tmp_path, host=NOWHERE):
            pass


async def test_without_dockerd_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("iexec_worker.devpool.child.SBIN", str(tmp_path))

    with pytest.raises(Fatal, match=r"run `apt-get install -y .* docker.io iptables`"):
        async with engine(tmp_path, host=NOWHERE):
            pass


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_a_protected_registry_gives_images_to_those_who_may(
    own: Engine, private: Registry
) -> None:
    image = f"{private.address}/team/app:1.0"
    await build(own.host, image, demo_app())

    with pytest.raises(EngineRefused, match=f"{image} was not pushed: .*credentials"):
        await push(own.host, image)
    await push(own.host, image, username=private.username, password=private.password)
    await remove(own.host, image)
    await remove(own.host, image)
    await trio.to_thread.run_sync(pull, own.host, image, private)

    assert "argument(s)" in await trio.to_thread.run_sync(run, own.host, image, "hello")


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_a_slow_line_gives_an_image_late_and_a_stalled_one_never(
    own: Engine, tmp_path: Path
) -> None:
    async with registry(tmp_path / "open") as open_, trio.open_nursery() as nursery:
        image = f"{open_.address}/app:1.0"
        await build(own.host, image, demo_app(ballast=1_000_000))
        await push(own.host, image)
        await remove(own.host, image)
        slow = f"127.0.0.1:{await nursery.start(serve_slowly, open_.port, 1_000_000)}/app:1.0"
        stalled = f"127.0.0.1:{await nursery.start(serve_slowly, open_.port, 0)}/app:1.0"

        # In this order: an engine that still pulls a layer does not begin again elsewhere.
        started = trio.current_time()
        await trio.to_thread.run_sync(pull, own.host, slow, open_)
        assert trio.current_time() - started > 1.0
        await remove(own.host, slow)

        with trio.move_on_after(1.5) as never:
            await trio.to_thread.run_sync(pull, own.host, stalled, open_, abandon_on_cancel=True)
        assert never.cancelled_caught
        nursery.cancel_scope.cancel()


@own_engine
@pytest.mark.docker
@pytest.mark.slow
async def test_recipes_say_how_an_image_starts(own: Engine) -> None:
    recipe = Recipe(command=("/bin/sh", "-c", 'echo "one \\ two"'))
    await build(own.host, "told:1", recipe)

    assert await trio.to_thread.run_sync(run, own.host, "told:1") == "one \\ two\n"


PARENT = """
import sys, trio
from pathlib import Path
from iexec_worker.devpool.engine import engine
from iexec_worker.devpool.registry import registry

async def main(folder):
    async with engine(folder / "engine", host="unix:///nowhere") as own, registry(folder / "store"):
        print("up at", own.host.removeprefix("unix://"), flush=True)
        await trio.sleep_forever()

trio.run(main, Path(sys.argv[1]))
"""


@own_engine
@pytest.mark.docker
@pytest.mark.slow
def test_engine_and_registry_end_when_their_pool_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        # What it logs is printed, too.
        up = next(line for line in parent.stdout if line.startswith("up at "))
        own = [*children(parent.pid)]
        left = [os.pidfd_open(pid) for top in own for pid in (top, *children(top))]
        parent.kill()

    # dockerd, its containerd, docker-registry: each is readable when it has ended.
    assert len(left) == 3
    for process in left:
        assert select.select([process], [], [], 30)[0]
        os.close(process)
    # The folder of its sockets is all that nobody was left to remove.
    shutil.rmtree(Path(up.split()[-1]).parent)


async def test_a_registry_that_is_not_installed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Fatal, match="docker-registry is not installed: run `apt-get install"):
        async with registry(tmp_path):
            pass


async def test_a_dynamic_busybox_makes_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busybox").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Fatal, match="a statically linked busybox is needed"):
        await build(NOWHERE, "app:1", demo_app())
