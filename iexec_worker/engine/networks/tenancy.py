"""
Sharing something of a host's among the workers on it.

Names of abstract sockets are used: they belong to the network namespace, as bridges and firewall
rules do, whatever container or user a worker runs as; and the kernel takes them back when a worker
is killed.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds between two attempts, and until somebody who never lets go is no longer waited for:
#: whoever holds it has a few calls to make.
_AGAIN: Final = 0.05
_PATIENCE: Final = 10.0

_LISTED: Final = Path("/proc/net/unix")


@define(eq=False)
class Tenancy:
    """A worker's part in the thing *name*. `leave` it in the end."""

    name: str
    _socket: socket.socket | None = field(init=False, default=None)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the thing against all others of this host, to change it."""
        with socket.socket(socket.AF_UNIX) as claim:
            with trio.move_on_after(_PATIENCE) as scope:
                while not _bind(claim, f"{self.name}/lock"):  # noqa: ASYNC110 - names announce nothing
                    await trio.sleep(_AGAIN)
            if scope.cancelled_caught:
                log.warning("going on without the others' consent", thing=self.name)
            yield

    def enter(self) -> None:
        """Become one of those who use it."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            _bind(self._socket, f"{self.name}/user/{secrets.token_hex(8)}")

    def leave(self) -> None:
        """Be none of them any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def is_used(self) -> bool:
        """True iff anybody, this worker included, uses it."""
        return f"@{self.name}/user/" in _LISTED.read_text(errors="replace")


def _bind(own: socket.socket, name: str) -> bool:
    try:
        own.bind(f"\0{name}")
    except OSError:
        return False
    return True
