from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from iexec_worker.devpool.chaos.processes import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        try:
            yield running
        finally:
            running.kill()


def wait(running: subprocess.Popen[bytes], what: int) -> bool:
    """Wait for the kernel's news that a child has stopped or goes on."""
    news = os.waitid(os.P_PID, running.pid, what | os.WNOWAIT)
    return news is not None


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_frozen_process_goes_on_afterwards() -> None:
    with process("sleep", "60") as running:
        with frozen(running.pid):
            assert wait(running, os.WSTOPPED)
            assert state(running.pid) == "T"
        assert wait(running, os.WCONTINUED)


def test_a_frozen_process_goes_on_after_an_error() -> None:
    with process("sleep", "60") as running:
        with pytest.raises(ProcessLookupError), frozen(running.pid):
            fail_when_stopped(running)
        assert wait(running, os.WCONTINUED)


def fail_when_stopped(running: subprocess.Popen[bytes]) -> None:
    assert wait(running, os.WSTOPPED)
    raise ProcessLookupError


def test_its_children_are_frozen_too() -> None:
    with process("sh", "-c", "sleep 60 & echo $!; wait") as running:
        assert running.stdout is not None
        child = int(running.stdout.readline())
        try:
            with frozen(running.pid):
                assert wait(running, os.WSTOPPED)
                while state(child) != "T":
                    os.sched_yield()
            while state(child) == "T":
                os.sched_yield()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_process_that_ends_while_frozen_is_no_error() -> None:
    with process("sleep", "60") as running, frozen(running.pid):
        running.kill()
        running.wait()
