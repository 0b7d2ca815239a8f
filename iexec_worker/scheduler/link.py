"""
The link on which the pool notifies us: STOMP over SockJS over whatever transport delivers.

A link that is down may have missed something, and nothing is replayed: whoever cares asks the
pool (`/replicates/interrupted`) after every `run` that has started.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
import trio
from attrs import define, field

from iexec_worker.errors import Unavailable, WorkerError
from iexec_worker.scheduler.conversation import Conversation, Limits
from iexec_worker.scheduler.exchange import ask, json_of
from iexec_worker.scheduler.transports import LinkLost, session_url
from iexec_worker.scheduler.transports.websocket import WebSocket
from iexec_worker.scheduler.transports.xhr import Xhr

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from iexec_worker.scheduler.gate import Gate
    from iexec_worker.scheduler.subscriptions import Subscriptions
    from iexec_worker.scheduler.transports import Transport

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class Link:
    """
    Delivers notifications for the worker with *wallet_address* to the inboxes of *subscriptions*.

    *gate* is open while it is up: CONNECTED and subscribed to everything. *url* is the scheduler's.
    """

    client: httpx.AsyncClient
    url: str
    wallet_address: str
    subscriptions: Subscriptions
    gate: Gate
    limits: Limits = field(factory=Limits)

    #: The transport in use, empty while there is none.
    transport: str = field(default="", init=False)
    #: How often the link came up.

    async def run(
        self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """
        Keep one link for as long as it lasts; reconnecting is the supervisor's business.

        `started` once the gate is open. Raises `LinkLost` or `Unavailable` when it is over.
        Cancellation says good-bye, within `limits.goodbye`, and leaves no connection open.
        """
        problem = LinkLost(f"{self.url}/connect: no transport was tried")
        for transport in self._transports(websocket=await self._offers_websocket()):
            talk = Conversation(transport, self.subscriptions, self.wallet_address, self.limits)
            try:
                await talk.run(functools.partial(self._up, transport, task_status))
            except LinkLost as error:
                problem = LinkLost(f"{self.url}/connect: {error}")
                if talk.up:
                    raise problem from error
            finally:
                self.gate.close()
                self.transport = ""
            log.info("a transport does not deliver", transport=transport.name, reason=str(problem))
        raise problem

    def _up(self, transport: Transport, task_status: trio.TaskStatus[Any]) -> None:
        self.transport = transport.name
        self.gate.open()
        task_status.started()
        log.info("link up", transport=transport.name, topics=len(self.subscriptions.task_ids))

    async def _offers_websocket(self) -> bool:
        try:
            info = json_of(await ask(self.client, "GET", f"{self.url}/connect/info"))
        except Unavailable:
            raise
        except WorkerError as error:
            # 404: a proxy whose backend is not up yet says so, too.
            raise LinkLost(str(error)) from error
        return isinstance(info, dict) and info.get("websocket") is True

    def _transports(self, *, websocket: bool) -> Iterator[Transport]:
        url = f"{self.url}/connect"
        if websocket:
            yield WebSocket(self.client, session_url(url))
        yield Xhr(self.client, session_url(url), "xhr_streaming")
        yield Xhr(self.client, session_url(url), "xhr")
