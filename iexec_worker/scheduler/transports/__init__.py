"""Ways to carry SockJS frames. Each is one session; making another is the link's business."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, NoReturn, Protocol

from iexec_worker.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iexec_worker.scheduler.sockjs import Event


class LinkLost(Unavailable):
    """Raised when a link, or the attempt to make one, is over; another may work."""


class Transport(Protocol):
    """
    One SockJS session over one kind of connection.

    Events go to a callback and nothing may be raised out of it: an error, unlike a cancellation,
    would leave httpx's iterators half-way.
    """

    @property
    def name(self) -> str:
        """What SockJS calls it."""

    async def run(self, deliver: Callable[[Event], None]) -> NoReturn:
        """
        Open the session and hand over each event as soon as its bytes are here.

        Raises `LinkLost` when the session is over. Cancellation closes the connection.
        """

    async def send(self, texts: Sequence[str]) -> None:
        """Send messages, in order, once the session is open. Raises `LinkLost`."""


def session_url(url: str) -> str:
    """Return the address of a new session at the SockJS endpoint *url*."""
    return f"{url}/{secrets.randbelow(1000):03}/{uuid.uuid4().hex}"
