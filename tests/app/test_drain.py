"""SIGTERM before there is anything to drain."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from iexec_worker.replicates.journal import Journal
from iexec_worker.stages.task import Record
from iexec_worker.wire import Status
from tests.app.alone import alone
from tests.samples import TASK, authorization

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path


@pytest.mark.slow
@pytest.mark.timeout(30)
async def test_a_worker_that_still_waits_for_its_pool_ends_at_sigterm(
    tmp_path: Path, log_events: list[MutableMapping[str, Any]]
) -> None:
    # Of an earlier life: nobody has heard of it in this one.
    left = Record(authorization(), told=[Status.STARTED], final_deadline=int(time.time()) + 3600)
    with trio.fail_after(20):
        async with alone(tmp_path) as root, trio.open_nursery() as nursery:
            await Journal(root.config.worker.tasks_dir).save(left)
            await nursery.start(root.run)
            while not root.node.children["member"].last_error:
                await trio.testing.wait_all_tasks_blocked(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
    (parked,) = [event for event in log_events if event["event"].startswith("parked")]
    assert (parked["task"], parked["log_level"]) == (TASK, "warning")
    assert "in 3" in parked["before"]
