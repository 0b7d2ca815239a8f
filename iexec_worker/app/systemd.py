"""
Telling systemd how we are, as a unit of `Type=notify`.

READY=1 is said when the worker answers HTTP and takes signals, not when it has registered: a pool
may be away for days, and systemd would count that as a start that failed. STATUS= says the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Self

import structlog
import trio
from attrs import define, field, frozen

from iexec_worker.supervise import every

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from iexec_worker.membership.ending import Ending
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds between two looks at what there is to say.
PERIOD: Final = 5.0

#: Seconds to end, beside what a drain takes.
_MARGIN: Final = 60.0


@frozen
class Unit:
    """
    What systemd told this process: the *address* of its socket, empty without systemd, and the
    seconds within which it wants a sign of life.
    """

    address: str = ""
    watchdog: float = math.inf

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str], pid: int) -> Self:
        """Read it, and take it out of *environ*: it is not meant for children."""
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, whose = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        ours = usec.isdecimal() and int(usec) > 0 and whose in ("", str(pid))
        return cls(address, int(usec) / 1e6 if ours else math.inf)


NO_UNIT: Final = Unit()


@define(eq=False)
class Notifier:
    """
    Says how the worker is for as long as it runs.

    *status* is one line for a person. Signs of life stop when *alive* says no, or when nothing in
    this process gets its turn any more.
    """

    unit: Unit
    ending: Ending
    status: Callable[[], str]
    alive: Callable[[], bool]
    node: Node
    _deaf: bool = field(init=False, default=False)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Report for ever, if there is anybody who wants to know. Cancelled, it says no more."""
        task_status.started()
        self.node.doing = "reporting" if self.unit.address else "systemd did not start this worker"
        if not self.unit.address:
            await trio.sleep_forever()
        with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as socket:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._report, socket)
                await self.ending.draining.wait()
                await self._say(socket, "STOPPING=1", self._more_time())

    async def _report(self, socket: trio.socket.SocketType) -> None:
        said = ""
        await self._say(socket, "READY=1")
        async for _ in every(min(PERIOD, self.unit.watchdog / 2)):
            status = " ".join(self.status().split())
            changed = (f"STATUS={status}",) if status != said else ()
            living = ("WATCHDOG=1",) if self.alive() and self.unit.watchdog < math.inf else ()
            if changed or living:
                await self._say(socket, *changed, *living)
            said = status

    def _more_time(self) -> str:
        """Ask for the time of a drain, whatever TimeoutStopSec says."""
        return f"EXTEND_TIMEOUT_USEC={(self.ending.patience + _MARGIN) * 1e6:.0f}"

    async def _say(self, socket: trio.socket.SocketType, *words: str) -> None:
        # An `@` stands for the zero byte of an abstract address.
        address = self.unit.address
        place = f"\0{address[1:]}" if address.startswith("@") else address
        try:
            await socket.sendto("\n".join(words).encode(), place)
        except OSError as error:
            if not self._deaf:
                log.warning("systemd does not listen", socket=address, reason=str(error))
            self._deaf = True
        else:
            self._deaf = False
