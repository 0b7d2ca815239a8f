"""A part that cannot be kept alive ends the process, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from iexec_worker.supervise import describe
from tests.app.alone import alone

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(30)
async def test_a_part_that_fails_too_often_ends_everything_with_the_reason(tmp_path: Path) -> None:
    few = {"IEXEC_WORKER_RESTART_INTENSITY": "1", "IEXEC_WORKER_RESTART_PERIOD": "PT30S"}
    with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - the worker lives in it
        async with alone(tmp_path, **few) as root, trio.open_nursery() as nursery:
            await nursery.start(root.run)
            for _ in range(2):
                while not root.node.children["server"].interrupt():
                    await trio.testing.wait_all_tasks_blocked(0.01)
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert describe(ended.value) == "server failed 2 times within 30 s; the last time: interrupted"
