"""A part that cannot be kept alive ends the process, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing

from iexec_worker.app.clients import open_clients
from iexec_worker.app.enclaves import enclaves
from iexec_worker.app.worker import Root
from iexec_worker.chain.wallet import Wallet
from iexec_worker.config import load
from iexec_worker.secret import Secret
from iexec_worker.supervise import describe
from iexec_worker.telemetry.redaction import Redactor
from tests.confined import sandbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(30)
async def test_a_part_that_fails_too_often_ends_everything_with_the_reason(tmp_path: Path) -> None:
    wallet = await trio.to_thread.run_sync(Wallet.create, tmp_path / "w.json", Secret("x"))
    environ = {
        "POOL_ADDRESS": "0x" + 40 * "a",
        # Nobody listens there, and nobody may: it is no port of TCP's own.
        "IEXEC_CORE_URL": "http://127.0.0.1:1",
        "IEXEC_WORKER_BASE_DIR": str(tmp_path),
        "IEXEC_WORKER_RESTART_INTENSITY": "1",
        "IEXEC_WORKER_RESTART_PERIOD": "PT30S",
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    config = load(environ, cpu_count=1).config
    config = attrs.evolve(config, worker=attrs.evolve(config.worker, port=0))
    with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - the worker lives in it
        async with open_clients(config) as clients, trio.open_nursery() as nursery:
            trusted = enclaves(config, clients.engine, wallet.address)
            root = Root(config, wallet, clients, sandbox(clients.engine), trusted, Redactor())
            await nursery.start(root.run)
            for _ in range(2):
                while not root.node.children["server"].interrupt():
                    await trio.testing.wait_all_tasks_blocked(0.01)
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert describe(ended.value) == "server failed 2 times within 30 s; the last time: interrupted"
