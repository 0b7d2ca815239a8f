"""SIGTERM before there is anything to drain."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from iexec_worker.app.clients import open_clients
from iexec_worker.app.enclaves import enclaves
from iexec_worker.app.worker import Root
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import load
from iexec_worker.replicates.journal import Journal
from iexec_worker.secret import Secret
from iexec_worker.stages.task import Record
from iexec_worker.telemetry.redaction import Redactor
from iexec_worker.wire import Status
from tests.confined import sandbox
from tests.samples import TASK, authorization

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(30)
async def test_a_worker_that_still_waits_for_its_pool_ends_at_sigterm(
    tmp_path: Path, log_events: list[MutableMapping[str, Any]]
) -> None:
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
    # Of an earlier life: nobody has heard of it in this one.
    left = Record(authorization(), told=[Status.STARTED], final_deadline=int(time.time()) + 3600)
    await Journal(config.worker.tasks_dir).save(left)
    with trio.fail_after(20):
        async with open_clients(config) as clients, trio.open_nursery() as nursery:
            trusted = enclaves(config, clients.engine, wallet.address)
            root = Root(config, wallet, clients, sandbox(clients.engine), trusted, Redactor())
            await nursery.start(root.run)
            while not root.node.children["member"].last_error:
                await trio.testing.wait_all_tasks_blocked(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
    (parked,) = [event for event in log_events if event["event"].startswith("parked")]
    assert (parked["task"], parked["log_level"]) == (TASK, "warning")
    assert "in 3" in parked["before"]
