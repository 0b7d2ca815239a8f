"""A disk that hangs holds up nothing but what waits for it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

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
from tests.confined import sandbox

if TYPE_CHECKING:
    from pathlib import Path

#: More than Trio has threads for when nobody asks for more.
HANGING: Final = 100


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_scheduler_is_found_by_its_name_while_many_threads_wait_for_a_disk(
    tmp_path: Path,
) -> None:
    wallet = await trio.to_thread.run_sync(Wallet.create, tmp_path / "w.json", Secret("x"))
    asked, let_go = trio.Event(), threading.Event()

    async def scheduler(stream: trio.SocketStream) -> None:
        asked.set()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, scheduler, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        config = load(
            {
                "POOL_ADDRESS": "0x" + 40 * "a",
                "IEXEC_CORE_URL": f"http://localhost:{port}",
                "IEXEC_WORKER_BASE_DIR": str(tmp_path),
                "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
            },
            cpu_count=1,
        ).config
        config = attrs.evolve(config, worker=attrs.evolve(config.worker, port=0))
        async with open_clients(config) as clients:
            root = Root(config, wallet, clients, sandbox(clients.engine), Redactor())
            await nursery.start(root.run)
            try:
                for _ in range(HANGING):
                    nursery.start_soon(partial(trio.to_thread.run_sync, let_go.wait))
                await trio.testing.wait_all_tasks_blocked()
                asked = trio.Event()
                with trio.fail_after(30):
                    await asked.wait()
            finally:
                let_go.set()
            nursery.cancel_scope.cancel()
