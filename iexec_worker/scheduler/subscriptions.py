"""The topics that replicates listen to. Outlives links: each new link subscribes to all of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iexec_worker.model import Notification

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A task gets about four notifications in its life. Anybody can publish to a topic, so that the
#: number that may wait is limited.
INBOX_SIZE: Final = 64


@define(eq=False)
class Subscriptions:
    """Inboxes by task. Replicates open them, the link reads what is open and delivers."""

    _inboxes: dict[str, trio.MemorySendChannel[Notification]] = field(factory=dict)
    _changed: trio.Event = field(factory=trio.Event)

    @contextmanager
    def open(self, task_id: str) -> Iterator[trio.MemoryReceiveChannel[Notification]]:
        """
        Listen to *task_id* for as long as the block runs.

        The link is told at once, but the pool never acknowledges a subscription and replays
        nothing. Raises ValueError when somebody listens already.
        """
        if task_id in self._inboxes:
            raise ValueError(f"task_id {task_id} has a subscription already")
        sender, receiver = trio.open_memory_channel["Notification"](INBOX_SIZE)
        self._inboxes[task_id] = sender
        self._tell()
        with sender, receiver:
            try:
                yield receiver
            finally:
                del self._inboxes[task_id]
                self._tell()

    @property
    def task_ids(self) -> frozenset[str]:
        """The tasks that somebody listens to now."""
        return frozenset(self._inboxes)

    @property
    def changed(self) -> trio.Event:
        """Set at the next change of `task_ids`; take it before reading them."""
        return self._changed

    def deliver(self, notification: Notification) -> None:
        """Put *notification* into the inbox of its task; drops it, with a warning, when full."""
        inbox = self._inboxes.get(notification.chain_task_id)
        facts = {"task": notification.chain_task_id, "action": notification.action.value}
        if inbox is None:
            # Overtaken by our UNSUBSCRIBE.
            log.debug("notification for a task that is over", **facts)
            return
        try:
            inbox.send_nowait(notification)
        except trio.WouldBlock:
            log.warning("notification dropped, too many are waiting", **facts, limit=INBOX_SIZE)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
