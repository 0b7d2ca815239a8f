"""A client that goes away leaves no file open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from iexec_worker.devpool.http.files import FileBody

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_file_whose_client_goes_while_it_is_opened_is_closed(tmp_path: Path) -> None:
    # Opening a FIFO takes until somebody opens its other end: time enough for the client to go.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    body = FileBody(fifo)
    client = trio.CancelScope()

    async def enter() -> None:
        with client:
            await body.__aenter__()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(enter)
            await trio.testing.wait_all_tasks_blocked()
            client.cancel()
            writer = await trio.open_file(fifo, "wb", buffering=0)
        async with writer:
            with pytest.raises(BrokenPipeError):
                await writer.write(b"nobody reads this")
