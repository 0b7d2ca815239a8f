"""The process: how fast it is there, and how much memory it keeps."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from iexec_worker.devpool import wallets
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import open_pool
from iexec_worker.devpool.worker_process import worker_process
from tests.bench.figure import Figure

if TYPE_CHECKING:
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.worker_process import WorkerProcess

LIBRARIES = "trio, httpx, quart_trio, hypercorn.trio, docker, eth_account, prometheus_client"
RSS = "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')))"
IDLE = 15.0
"""Seconds after the registration: a ping and several questions for work have passed."""


async def imports(cache: Path, folder: Path) -> list[Figure]:
    """`import iexec_worker.cli`, as the interpreter's whole life minus an empty one's."""
    empty = [_seconds("pass") for _ in range(7)]
    base = min(empty)
    ours = [1000 * (_seconds("import iexec_worker.cli") - base) for _ in range(7)]
    click = [1000 * (_seconds("import click") - base) for _ in range(7)]
    return [Figure("import iexec_worker.cli", "ms", ours, "import click", click, 250)]


async def start(cache: Path, folder: Path) -> list[Figure]:
    """From the start of `run` to registered, and the memory of the idle worker."""
    registered, memory = [], []
    async with open_pool(PoolOptions(cache=cache, folder=folder / "pool")) as pool:
        for number in range(3):
            seconds, rss = await _one_start(pool, folder, f"bench-{number}", idle=number == 0)
            registered.append(seconds)
            memory += [rss] if rss else []
    libraries = [_seconds(f"import {LIBRARIES}") for _ in range(3)]
    return [
        Figure("run → registered", "s", registered, "import of its libraries", libraries, 3),
        Figure("idle resident memory", "MB", memory, "its libraries", [_library_memory()], 110),
    ]


async def _one_start(pool: Pool, folder: Path, name: str, *, idle: bool) -> tuple[float, float]:
    wallet = await wallets.make(folder, name)
    await wallets.fund(pool.market, wallet)
    environment = pool.environment(wallet.path, wallet.password)
    began = time.perf_counter()
    async with worker_process(folder, name, environment, inherited=os.environ) as worker:
        await pool.scheduler.registered([wallet.address])
        seconds = time.perf_counter() - began
        if idle:
            await trio.sleep(IDLE)
        return seconds, _rss(worker) if idle else 0.0


def _rss(worker: WorkerProcess) -> float:
    text = Path(f"/proc/{worker.child.process.pid}/status").read_text()
    return _megabytes(next(line for line in text.splitlines() if line.startswith("VmRSS")))


def _megabytes(line: str) -> float:
    return int(line.split()[1]) / 1024


def _library_memory() -> float:
    code = f"import {LIBRARIES}; {RSS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return _megabytes(done.stdout)


def _seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began
