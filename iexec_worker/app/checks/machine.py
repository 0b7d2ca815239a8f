"""Looks at this machine: engine, wallet, disk, and what it has for trusted tasks."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import trio

from iexec_worker.app.checks.finding import Odd, Wrong
from iexec_worker.app.enclaves import agent_of, sgx_of
from iexec_worker.chain.wallet import Wallet, exposed
from iexec_worker.errors import WorkerError
from iexec_worker.tee.sgx import AESM_SOCKET

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.app.checks.facts import Facts

_GB: Final = 1024**3

#: Below the first nothing sizeable can be downloaded, below the second not for long: images of
#: several GB are common.
_TOO_LITTLE: Final = 1 * _GB
_LITTLE: Final = 20 * _GB


async def engine(facts: Facts) -> str:
    """The container engine answers."""
    try:
        version = await facts.clients.engine.version()
        await facts.clients.engine.ping()
    except WorkerError as error:
        raise Wrong(
            str(error),
            "start it (`systemctl start docker`), let this user use its socket (group `docker`), "
            "or set DOCKER_HOST",
        ) from error
    return f"version {version} at {facts.config.docker.host or 'the default socket'}"


async def wallet(facts: Facts) -> str:
    """The keystore opens with the password, and only its owner can read it."""
    file = facts.config.wallet
    facts.wallet = await trio.to_thread.run_sync(Wallet.decrypt, file.path, file.password)
    if warning := await trio.to_thread.run_sync(exposed, file.path):
        fact, _, fix = warning.partition(": ")
        raise Odd(fact, fix)
    return f"{facts.wallet.address} in {file.path}"


async def disk(facts: Facts) -> str:
    """The folder of the tasks can be written, and there is room."""
    base, floor = facts.config.worker.base_dir, facts.config.worker.min_free_disk
    free = await trio.to_thread.run_sync(_free, base)
    fact = f"{free / _GB:.1f} GB free at {base}"
    fix = "make room, or set IEXEC_WORKER_BASE_DIR to a folder on a larger disk"
    if free < floor:
        wanted = f"work is taken from {floor / _GB:g} GB on (IEXEC_WORKER_MIN_FREE_DISK_GB)"
        raise Wrong(f"{fact}: {wanted}", fix)
    if free < _TOO_LITTLE:
        raise Wrong(fact, fix)
    if free < _LITTLE:
        raise Odd(fact, fix)
    return fact


def _free(base: Path) -> int:
    """Bytes for the folder *base*, which need not exist yet. Nothing is written."""
    there = next(path for path in (base, *base.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise Wrong(
            f"{there} is no folder that this user can write to",
            "let this user write to it, or set IEXEC_WORKER_BASE_DIR to another",
        )
    return shutil.disk_usage(there).free


async def sgx(facts: Facts) -> str:
    """The devices of the SGX driver are there, and what its frameworks need besides."""
    found = sgx_of(facts.config)
    if trouble := await trio.to_thread.run_sync(found.trouble):
        raise Wrong(trouble, found.fix)
    fact = f"{found.mode}: {' and '.join(found.devices)}"
    if facts.config.tee.scontain_login is None:
        raise Odd(
            f"{fact}, but no log-in for {facts.config.tee.scontain_registry}: SCONE tasks fail",
            "set IEXEC_WORKER_SCONTAIN_REGISTRY_USERNAME and _PASSWORD",
        )
    if not await trio.to_thread.run_sync(found.place(AESM_SOCKET).is_socket):
        raise Odd(
            f"{fact}, but no socket {AESM_SOCKET}: Gramine tasks fail",
            "start the AESM service (`systemctl start aesmd`)",
        )
    return fact


async def tdx(facts: Facts) -> str:
    """The agent of TDX may be run."""
    agent = agent_of(facts.config)
    if not await trio.to_thread.run_sync(lambda: agent.is_here):
        raise Wrong(
            f"{agent.program} is no program that this user can run: TDX tasks are not taken",
            "install it, or correct IEXEC_WORKER_TDX_AGENT",
        )
    return f"{agent.program} is there"
