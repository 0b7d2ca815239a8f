"""A container engine: the one that is there, or one of our own for as long as it is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import docker
import httpx
import requests
import structlog
import trio
from attrs import frozen
from docker.errors import DockerException

from iexec_worker.devpool.child import SBIN, child, children, find, send
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"

#: An engine that is there answers at once; three seconds are for one that is busy.
_ANSWER: Final = 3

#: dockerd serves after a second or two; a first start on a slow disk takes longer.
START: Final = 60.0

#: dockerd's own shutdown gives containers 10 s; ours are removed before.
STOP: Final = 20.0

_INSTALL: Final = "apt-get install -y --no-install-recommends docker.io iptables"


@frozen
class Engine:
    """Where an engine is reached, as DOCKER_HOST has it; *own*: started by us, gone afterwards."""

    host: str
    own: bool


@asynccontextmanager
async def engine(folder: Path, *, host: str | None = None) -> AsyncIterator[Engine]:
    """
    The engine at *host* (None: the default socket) if it answers, else one of our own.

    An own one needs root and dockerd; it keeps its images and log in *folder*, and all its
    containers and networks go when the scope ends. Raises Fatal, with the command that helps.
    """
    there = host or DEFAULT_HOST
    if await answers(there):
        yield Engine(there, own=False)
        return
    async with AsyncExitStack() as stack:
        ready = await stack.enter_async_context(prepared(folder, instead_of=there))
        dockerd = await stack.enter_async_context(
            child(ready.command, name="dockerd", log=folder / "dockerd.log", grace=STOP)
        )
        await dockerd.serving(partial(answers, ready.host), limit=START)
        stack.push_async_callback(clear, ready.host)
        yield Engine(ready.host, own=True)


@frozen
class Prepared:
    """An engine that could be started by *command* and would be reached at *host*."""

    command: tuple[str, ...]
    host: str


@asynccontextmanager
async def prepared(
    folder: Path, *, instead_of: str = DEFAULT_HOST, options: Sequence[str] = ()
) -> AsyncIterator[Prepared]:
    """
    What an engine of our own needs, for the time of the scope; *options* are more of dockerd's.

    Raises Fatal for want of root or dockerd: no engine answers at *instead_of*, then.
    """
    _require(instead_of)
    # Sockets have paths of at most 107 characters, so these are not in the folder.
    with tempfile.TemporaryDirectory(
        dir="/run", prefix="iexec-", ignore_cleanup_errors=True
    ) as run:
        host = f"unix://{run}/docker.sock"
        command = await trio.to_thread.run_sync(_prepare, folder, Path(run), host)
        log.info("starting an engine", folder=str(folder), host=host)
        try:
            yield Prepared((*command, *options), host)
        finally:
            _end_left_over(Path(run))
            _unmount(folder, Path(run))


async def answers(host: str) -> bool:
    """True iff an engine answers a ping; of hosts that are reached in other ways it is believed."""
    scheme, _, place = host.partition("://")
    if scheme not in ("unix", "tcp", "http"):
        return True
    transport = httpx.AsyncHTTPTransport(uds=place if scheme == "unix" else None)
    url = "http://engine/_ping" if scheme == "unix" else f"http://{place}/_ping"
    async with httpx.AsyncClient(transport=transport, timeout=_ANSWER, trust_env=False) as client:
        try:
            return (await client.get(url)).is_success
        except httpx.HTTPError:
            return False


def _require(there: str) -> None:
    if os.geteuid() != 0:
        raise Fatal(
            f"no container engine answers at {there}: start one (`systemctl start docker` as "
            "root), name one in DOCKER_HOST, or run this as root to get one for its time"
        )
    if find("dockerd") is None:
        raise Fatal(
            f"no container engine answers at {there} and dockerd is not installed: run `{_INSTALL}`"
        )


def _prepare(folder: Path, run: Path, host: str) -> list[str]:
    """Make the machine fit for dockerd, as an init system would have; returns the command."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount_cgroups()
    # Found through the shell's PATH, for dockerd looks there for iptables.
    iptables = _iptables(run)
    return [
        *("sh", "-c", f'PATH="$0:$PATH:{SBIN}" exec dockerd "$@"', str(run / "bin")),
        *("--data-root", str(folder / "data")),
        *("--exec-root", str(run / "exec")),
        *("--pidfile", str(run / "pid")),
        *("--host", host),
        *(() if iptables else ("--iptables=false", "--ip6tables=false")),
    ]


def _mount_cgroups() -> None:
    """Mount the control groups if nobody did: no container starts without them."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if any(kind.startswith("cgroup") for _, _, kind, *_ in mounts):
        return
    done = _run("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    if done.returncode != 0:
        raise Fatal(f"control groups cannot be mounted, dockerd needs them: {_said(done)}")


def _iptables(run: Path) -> bool:
    """
    Whether there is an iptables that this kernel understands; put first in dockerd's PATH.

    Debian's default speaks to nftables, which some kernels lack. Without any, containers reach
    this machine, but nothing beyond it.
    """
    bin_ = run / "bin"
    bin_.mkdir()
    for name in ("iptables", "iptables-legacy"):
        found = find(name)
        if found and _run(found, "-w", "-t", "nat", "-L", "-n").returncode == 0:
            (bin_ / "iptables").symlink_to(found)
            return True
    log.warning("no usable iptables: containers will have no way out of this machine")
    return False


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr or done.stdout).strip()


def _end_left_over(run: Path) -> None:
    """End what a killed engine with its files in *run* left running: its containers and theirs."""
    for line in [*Path("/proc").glob("[0-9]*/cmdline")]:
        with suppress(OSError):
            if any(word.startswith(f"{run}/") for word in line.read_text().split("\0")):
                part = int(line.parent.name)
                for pid in (*children(part), part):
                    send(pid, signal.SIGKILL)


def _unmount(*folders: Path) -> None:
    """Undo the mounts that an engine leaves behind when it is killed: nobody could remove them."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed(mounts):
        if any(Path(place).is_relative_to(folder.resolve()) for folder in folders):
            _run("umount", "--lazy", place)


async def clear(host: str) -> None:
    """Remove containers and networks: bridges would outlive the engine that made them."""
    with trio.move_on_after(STOP, shield=True):
        if not await answers(host):
            return
        await trio.to_thread.run_sync(_remove_all, host, abandon_on_cancel=True)


def _remove_all(host: str) -> None:
    client = docker.DockerClient(base_url=host, timeout=int(STOP))
    try:
        for container in client.containers.list(all=True, ignore_removed=True):
            container.remove(force=True, v=True)
        client.networks.prune()
    except (DockerException, requests.RequestException) as error:
        log.warning("the engine was not cleared", reason=str(error))
    finally:
        client.close()
