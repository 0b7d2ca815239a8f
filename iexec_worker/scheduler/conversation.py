"""One STOMP conversation on one SockJS session: handshake, topics, notifications, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import structlog
import trio
from attrs import define, field, frozen

from iexec_worker.errors import WorkerError
from iexec_worker.fields import brief
from iexec_worker.scheduler import messages, sockjs, stomp
from iexec_worker.scheduler.transports import LinkLost
from iexec_worker.supervise import only

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.scheduler.subscriptions import Subscriptions
    from iexec_worker.scheduler.transports import Transport

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Limits:
    """
    How long the other side may take, in seconds.

    *silence*: without any frame; three of the pool's heartbeats. *handshake*: for a transport to
    open a session and to get the broker's CONNECTED through; what takes longer between two
    computers is a proxy that waits for the end of the answer. *goodbye*: for our last frame, which
    is a courtesy.
    """

    silence: float = 15.0
    handshake: float = 5.0
    goodbye: float = 1.0


@define(eq=False)
class Conversation:
    """One session on one *transport*, from its opening to its end. *up*: it works, or did once."""

    transport: Transport
    subscriptions: Subscriptions
    wallet_address: str
    limits: Limits
    up: bool = field(default=False, init=False)
    _opened: trio.Event = field(factory=trio.Event, init=False)
    _connected: trio.Event = field(factory=trio.Event, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)
    _problem: str = field(default="", init=False)
    #: Its deadline is when the silence will have been too long.
    _alive: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    #: Subscription numbers by task.
    _subscribed: dict[str, int] = field(factory=dict, init=False)
    _next_number: int = field(default=0, init=False)

    async def run(self, on_up: Callable[[], None]) -> NoReturn:
        """Call *on_up* once when subscribed to everything; raise `LinkLost` when it is over."""
        self._alive.deadline = trio.current_time() + self.limits.handshake
        try:
            with self._alive:
                await self._until_over(on_up)
        except ExceptionGroup as group:
            raise only(group) from None
        raise LinkLost(self._silent())

    def _silent(self) -> str:
        name, limits = self.transport.name, self.limits
        if self._connected.is_set():
            return f"nothing on the {name} link for {limits.silence:g} s, not even a heartbeat"
        step = "CONNECTED" if self._opened.is_set() else "session"
        return f"no {step} through {name} within {limits.handshake:g} s"

    async def _until_over(self, on_up: Callable[[], None]) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive)
            nursery.start_soon(self._send, on_up)
            await self._over.wait()
            raise LinkLost(self._problem)

    async def _receive(self) -> None:
        try:
            await self.transport.run(self.take)
        except LinkLost as error:
            self._end(str(error))

    async def _send(self, on_up: Callable[[], None]) -> None:
        try:
            await self._converse(on_up)
        except LinkLost as error:
            self._end(str(error))

    async def _converse(self, on_up: Callable[[], None]) -> NoReturn:
        try:
            await self._opened.wait()
            await self.transport.send([stomp.connect()])
            await self._connected.wait()
            while True:
                changed = self.subscriptions.changed
                await self._subscribe()
                if not self.up:
                    self.up = True
                    on_up()
                await changed.wait()
        except trio.Cancelled:
            # Only when we go: a session that is over needs no good-bye.
            if self.up and not self._over.is_set() and not self._alive.cancel_called:
                await self._say_goodbye()
            raise

    async def _subscribe(self) -> None:
        """Tell the broker what has changed since the last time, in one go."""
        wanted = self.subscriptions.task_ids
        frames = [
            stomp.unsubscribe(self._subscribed.pop(task_id))
            for task_id in sorted(self._subscribed.keys() - wanted)
        ]
        for task_id in sorted(wanted - self._subscribed.keys()):
            frames.append(stomp.subscribe(self._next_number, task_id))
            self._subscribed[task_id] = self._next_number
            self._next_number += 1
        if frames:
            await self.transport.send(frames)

    async def _say_goodbye(self) -> None:
        with trio.move_on_after(self.limits.goodbye, shield=True):
            try:
                await self.transport.send([stomp.disconnect()])
            except WorkerError as error:
                log.debug("no good-bye", reason=str(error))

    def take(self, event: sockjs.Event) -> None:
        """React to what the transport delivers. Raises nothing."""
        if self._connected.is_set():
            self._alive.deadline = trio.current_time() + self.limits.silence
        match event:
            case sockjs.Opened():
                if self._opened.is_set():
                    self._end("the server opened the session anew; it had lost ours")
                self._opened.set()
            case sockjs.Messages(texts=texts):
                for text in texts:
                    self._take_message(text)
            case sockjs.Closed(code=code, reason=reason):
                self._end(f"the session was closed: {code} {brief(reason)}")
            case sockjs.Malformed(problem=problem):
                self._end(problem)
            case sockjs.Heartbeat():
                pass

    def _end(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._over.set()

    def _take_message(self, text: str) -> None:
        try:
            received = stomp.parse(text)
            if isinstance(received, stomp.Message):
                self._deliver(received)
        except ValueError as error:
            log.warning("unreadable message ignored", reason=str(error), text=brief(text))
            return
        match received:
            case stomp.Connected():
                self._alive.deadline = trio.current_time() + self.limits.silence
                self._connected.set()
            case stomp.Error(text=problem):
                self._end(f"the broker gave up: {brief(problem)}")

    def _deliver(self, message: stomp.Message) -> None:
        notification = messages.notification(message.body)
        if notification is None or not notification.is_for(self.wallet_address.lower()):
            return
        if notification.chain_task_id != message.task_id:
            raise ValueError("a notification on the topic of another task")
        log.debug("notification", task=message.task_id, action=notification.action.value)
        self.subscriptions.deliver(notification)
