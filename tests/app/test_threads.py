"""A disk that hangs holds up nothing but what waits for it."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import trio
import trio.testing

from tests.app.alone import alone

if TYPE_CHECKING:
    from pathlib import Path

#: More than Trio has threads for when nobody asks for more.
HANGING: Final = 100


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_scheduler_is_found_by_its_name_while_many_threads_wait_for_a_disk(
    tmp_path: Path,
) -> None:
    asked, let_go = trio.Event(), threading.Event()

    async def scheduler(stream: trio.SocketStream) -> None:
        asked.set()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, scheduler, 0, host="127.0.0.1"))
        url = f"http://localhost:{listener.socket.getsockname()[1]}"
        async with alone(tmp_path, IEXEC_CORE_URL=url) as root:
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
