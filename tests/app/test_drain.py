"""SIGTERM before there is anything to drain."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing

from iexec_worker.app.clients import open_clients
from iexec_worker.app.worker import Root
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import load
from iexec_worker.secret import Secret
from iexec_worker.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(30)
async def test_a_worker_that_still_waits_for_its_pool_ends_at_sigterm(tmp_path: Path) -> None:
    wallet = await trio.to_thread.run_sync(Wallet.create, tmp_path / "w.json", Secret("x"))
    environ = {
        "POOL_ADDRESS": "0x" + 40 * "a",
        # Nobody listens there, and nobody may: it is no port of TCP's own.
        "IEXEC_CORE_URL": "http://127.0.0.1:1",
        "IEXEC_WORKER_BASE_DIR": str(tmp_path),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    config = load(environ, cpu_count=1).config
    config = attrs.evolve(config, worker=attrs.evolve(config.worker, port=0))
    with trio.fail_after(10):
        async with open_clients(config) as clients, trio.open_nursery() as nursery:
            root = Root(config, wallet, clients, Redactor())
            await nursery.start(root.run)
            while not root.node.children["member"].last_error:
                await trio.testing.wait_all_tasks_blocked(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
