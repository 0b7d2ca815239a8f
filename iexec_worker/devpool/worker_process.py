"""A worker as operators run it: `iexec-worker run`, a process with an environment of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio
from attrs import frozen

from iexec_worker.devpool.child import Child, child

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

#: Seconds until its HTTP server answers. Two are usual, most of them imports; a machine whose
#: processors are all taken by computing needs several times as many.
_START: Final = 60.0

#: Seconds to stop at once: the engine has 10 s to stop a container, a second for the rest.
_STOP: Final = 15.0

_NO_IDLE: Final = httpx.Limits(max_keepalive_connections=0)

#: Nothing of the shell's is meant for the worker, except where programs and files are.
_INHERITED: Final = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


@frozen
class WorkerProcess:
    """A running worker. *url* is its HTTP server's; what it logs is in `child.log`."""

    name: str
    url: str
    child: Child
    client: httpx.AsyncClient

    @property
    def ended(self) -> int | None:
        """The exit status, None while it runs."""
        return self.child.process.poll()

    async def answers(self) -> bool:
        """True iff the worker says that it is alive."""
        try:
            return (await self.client.get(f"{self.url}/actuator/health/liveness")).is_success
        except httpx.TransportError:
            return False

    async def ready(self) -> bool:
        """True iff the worker says that it takes work."""
        try:
            return (await self.client.get(f"{self.url}/actuator/health/readiness")).is_success
        except httpx.TransportError:
            return False

    async def supervision(self) -> dict[str, Any] | None:
        """The tree of what it is doing; None when it gives no answer now."""
        try:
            response = await self.client.get(f"{self.url}/actuator/supervision")
        except httpx.TransportError:
            return None
        tree: dict[str, Any] = response.json()
        return tree

    async def stop(self) -> None:
        """Have it stop at once, as Ctrl-C does, so that it takes its containers away."""
        if self.ended is None:
            self.child.process.send_signal(signal.SIGINT)
        with trio.move_on_after(_STOP):
            await self.child.process.wait()


@asynccontextmanager
async def worker_process(
    folder: Path,
    name: str,
    environment: Mapping[str, str],
    *,
    inherited: Mapping[str, str],
    command: str = "run",
    arguments: Sequence[str] = (),
) -> AsyncIterator[WorkerProcess]:
    """
    Run a worker for the time of the scope; it can be asked when the block begins.

    Its environment is *environment* and what no program can do without of *inherited*; its files
    and its log, `<name>.log`, are in *folder*. Another *command* than `run` is one that makes a
    worker, too, takes *arguments*, and has its standard input open. Raises Fatal with the end of
    the log when it does not come up.
    """
    await trio.Path(folder).mkdir(parents=True, exist_ok=True)
    port = environment.get("IEXEC_WORKER_PORT") or str(_free_port())
    environ = {key: inherited[key] for key in _INHERITED if key in inherited}
    environ |= {**defaults(folder, name), **environment, "IEXEC_WORKER_PORT": port}
    words = (sys.executable, "-m", "iexec_worker", command, *arguments)
    stdin = subprocess.DEVNULL if command == "run" else subprocess.PIPE
    log = folder / f"{name}.log"
    async with (
        # No idle connections: a server that stops waits for them.
        httpx.AsyncClient(trust_env=False, timeout=5.0, limits=_NO_IDLE) as client,
        child(
            words, name=name, log=log, environ=environ, stdin=stdin, orphaned=signal.SIGINT
        ) as process,
    ):
        url = f"http://{environ['IEXEC_WORKER_BIND_ADDRESS']}:{port}"
        worker = WorkerProcess(name, url, process, client)
        try:
            await process.serving(worker.answers, limit=_START)
            yield worker
        finally:
            with trio.CancelScope(shield=True):
                await worker.stop()


def defaults(folder: Path, name: str) -> dict[str, str]:
    """Return what a worker on somebody's own machine is given unless told otherwise."""
    return {
        "IEXEC_WORKER_NAME": name,
        "IEXEC_WORKER_BASE_DIR": str(folder / "tasks"),
        "IEXEC_WORKER_BIND_ADDRESS": "127.0.0.1",
        "IEXEC_WORKER_LOG_FORMAT": "console",
    }


def _free_port() -> int:
    """Ask for a port that is free now; the worker takes it a second later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
