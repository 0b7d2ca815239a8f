"""What systemd hears, on a real socket."""

from __future__ import annotations

import secrets
import shutil
import socket as plain
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from attrs import define, field

from iexec_worker.app.systemd import Notifier, Unit
from iexec_worker.membership.ending import Ending
from iexec_worker.telemetry.tree import Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

UNIT_FILE = Path(__file__).parents[2] / "examples" / "iexec-worker.service"


@define(eq=False)
class Systemd:
    """The other side of the socket at *address*."""

    address: str
    socket: trio.socket.SocketType
    ending: Ending = field(factory=lambda: Ending(600))
    status: str = "idle"
    sound: bool = True

    def reports(self, watchdog: float) -> Notifier:
        unit = Unit(self.address, watchdog)
        return Notifier(unit, self.ending, lambda: self.status, lambda: self.sound, Node("systemd"))

    async def hears(self, words: str) -> None:
        """Wait for a message that begins with *words*."""
        while not (await self.socket.recv(4096)).decode().startswith(words):
            pass


@pytest.fixture(params=["path", "abstract"])
async def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Systemd]:
    name = f"iexec-{secrets.token_hex(8)}"
    abstract = request.param == "abstract"
    with trio.socket.socket(trio.socket.AF_UNIX, plain.SOCK_DGRAM) as socket:
        await socket.bind(f"\0{name}" if abstract else str(tmp_path / name))
        yield Systemd(f"@{name}" if abstract else str(tmp_path / name), socket)


async def test_systemd_hears_that_it_is_ready_what_it_does_and_that_it_lives(
    systemd: Systemd, nursery: trio.Nursery
) -> None:
    with trio.fail_after(5):
        await nursery.start(systemd.reports(0.02).run)
        assert await systemd.socket.recv(99) == b"READY=1"
        assert await systemd.socket.recv(99) == b"STATUS=idle\nWATCHDOG=1"
        assert await systemd.socket.recv(99) == b"WATCHDOG=1"
        systemd.status = "two\nlines"
        await systemd.hears("STATUS=two lines\nWATCHDOG=1")
        systemd.sound = False
        systemd.status = "sick"
        await systemd.hears("STATUS=sick")
        with trio.move_on_after(0.1) as silence:
            assert await systemd.socket.recv(99) == b""
        assert silence.cancelled_caught


async def test_a_drain_is_told_with_the_time_that_it_takes(
    systemd: Systemd, nursery: trio.Nursery
) -> None:
    with trio.fail_after(5):
        await nursery.start(systemd.reports(0.02).run)
        systemd.ending.drain()
        await systemd.hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=660000000")
        await systemd.hears("WATCHDOG=1")


async def test_a_socket_that_is_gone_is_no_reason_to_fail(
    systemd: Systemd, nursery: trio.Nursery, log_events: list[MutableMapping[str, Any]]
) -> None:
    systemd.socket.close()
    reports = systemd.reports(0.01)
    await nursery.start(reports.run)
    systemd.ending.drain()
    await trio.testing.wait_all_tasks_blocked()
    told = [event["event"] for event in log_events if event["log_level"] != "debug"]
    assert told == ["systemd does not listen"]


def test_what_systemd_says_is_taken_out_of_the_environment() -> None:
    environ = {"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000", "PATH": "/bin"}
    assert Unit.taken_from({**environ, "WATCHDOG_PID": "7"}, 8) == Unit("/run/n")
    environ["WATCHDOG_PID"] = "8"
    assert Unit.taken_from(environ, 8) == Unit("/run/n", 30.0)
    assert environ == {"PATH": "/bin"}
    assert Unit.taken_from(environ, 8) == Unit()


@pytest.mark.slow
def test_the_example_is_a_unit_that_systemd_understands(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not there")
    unit = tmp_path / UNIT_FILE.name
    # The worker is not installed there.
    unit.write_text(
        UNIT_FILE.read_text().replace("/opt/iexec-worker/bin/iexec-worker", "/bin/true")
    )
    done = subprocess.run(
        [tool, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if UNIT_FILE.name in line] == []
