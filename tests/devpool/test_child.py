from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.devpool.child import child
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


async def never() -> bool:
    return False


async def test_a_child_ends_with_its_scope(tmp_path: Path) -> None:
    async with child(["sleep", "60"], name="sleep", log=tmp_path / "log") as running:
        assert running.process.poll() is None

    assert running.process.returncode == -signal.SIGTERM


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stubborn = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"

    with trio.fail_after(10):
        async with child(["sh", "-c", stubborn], name="sh", log=log, grace=0.1) as running:

            async def deaf() -> bool:
                return "deaf" in log.read_text()

            await running.serving(deaf, limit=5)

    assert running.process.returncode == -signal.SIGKILL


async def test_a_cancelled_scope_leaves_no_child(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with child(["sleep", "60"], name="sleep", log=tmp_path / "log") as running:
            scope.cancel()
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert running.process.returncode == -signal.SIGTERM


async def test_a_child_that_ends_early_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with trio.fail_after(10):
        async with child(["sh", "-c", "echo no disk; exit 4"], name="node", log=log) as running:
            with pytest.raises(Fatal) as caught:
                await running.serving(never, limit=5)

    assert str(caught.value) == f"node ended with status 4: no disk (log: {log})"


async def test_a_child_that_never_serves_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with child(["sleep", "60"], name="sleep", log=log) as running:
        with pytest.raises(Fatal) as caught:
            await running.serving(never, limit=0.1)

    text = f"sleep did not serve within 0.1 s: it printed nothing (log: {log})"
    assert str(caught.value) == text


PARENT = """
import sys, trio
from pathlib import Path
from iexec_worker.devpool.child import child

async def main(log):
    script = "trap 'echo orphaned; exit' USR1; echo ready; while :; do sleep 0.1; done"
    async with child(["sh", "-c", script], name="sh", log=log, orphaned=10) as running:
        async def ready():
            return "ready" in log.read_text()

        await running.serving(ready, limit=20)
        print(running.process.pid, flush=True)
        await trio.sleep_forever()

trio.run(main, Path(sys.argv[1]))
"""


def test_a_child_learns_that_its_parent_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", PARENT, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        orphan = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()

    # Readable when it has ended.
    ended, _, _ = select.select([orphan], [], [], 20)
    os.close(orphan)
    assert ended == [orphan]
    assert log.read_text() == "ready\norphaned\n"
