"""One SockJS session: what waits for its client, and who receives it now."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator


def close_frame(code: int, reason: str) -> str:
    """The SockJS frame that ends a session."""
    return f"c[{code},{json.dumps(reason)}]"


@define(eq=False)
class Session:
    """
    Lives from its first receiving request until it is closed, killed or nobody receives any more.

    *closed* is the close frame once the session was closed; *lost* is True when the server
    forgot the session without a word, as it does when it restarts.
    """

    id: str
    peer: str
    deliver: Callable[[str], None] = field(init=False)
    opened: bool = False
    closed: str | None = None
    lost: bool = False
    receiving: bool = False
    left_at: float = field(factory=trio.current_time)
    _queue: deque[str] = field(factory=deque)
    _wake: trio.Event = field(factory=trio.Event)

    def push(self, message: str) -> None:
        """Queue one message for the client."""
        if self.closed is None:
            self._queue.append(message)
            self._ring()

    def close(self, code: int, reason: str) -> None:
        """End the session properly."""
        if self.closed is None:
            self.closed = close_frame(code, reason)
            self._ring()

    def kill(self) -> None:
        """End the session without telling the client why."""
        self.lost = True
        self._ring()

    @contextmanager
    def receiver(self) -> Iterator[None]:
        """Be the one receiving request of this session."""
        self.receiving = True
        try:
            yield
        finally:
            self.receiving = False
            self.left_at = trio.current_time()

    @property
    def waiting(self) -> bool:
        """True iff there are messages the client has not got."""
        return bool(self._queue)

    def take(self) -> list[str]:
        """Everything that waits."""
        messages = list(self._queue)
        self._queue.clear()
        return messages

    async def something(self) -> None:
        """Wait until there is a message or the session is over."""
        while not (self._queue or self.closed or self.lost):
            await self._wake.wait()

    def _ring(self) -> None:
        self._wake.set()
        self._wake = trio.Event()
