"""A whole worker in this process, which finds neither a pool nor an engine."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import trio

from iexec_worker.app.clients import open_clients
from iexec_worker.app.enclaves import enclaves
from iexec_worker.app.worker import Root
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import load
from iexec_worker.secret import Secret
from iexec_worker.telemetry.redaction import Redactor
from tests.confined import sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def alone(folder: Path, **variables: str) -> AsyncIterator[Root]:
    """Put a worker together below *folder*, on any port; it is not run yet."""
    usual = {
        "POOL_ADDRESS": "0x" + 40 * "a",
        # Nobody listens there, and nobody may: it is no port of TCP's own.
        "IEXEC_CORE_URL": "http://127.0.0.1:1",
        "IEXEC_WORKER_BASE_DIR": str(folder),
        "DOCKER_HOST": f"unix://{folder}/none.sock",
    }
    config = load(usual | variables, cpu_count=1).config
    config = attrs.evolve(config, worker=attrs.evolve(config.worker, port=0))
    wallet = await trio.to_thread.run_sync(Wallet.create, folder / "w.json", Secret("x"))
    async with open_clients(config) as clients:
        trusted = enclaves(config, clients.engine, wallet.address)
        yield Root(config, wallet, clients, sandbox(clients.engine), trusted, Redactor())
