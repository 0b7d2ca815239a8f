"""The scheduler's notifications to workers, and what a test can do to them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from attrs import define, field, frozen

from iexec_worker.devpool.broker.stomp import SimpleBroker
from iexec_worker.wire import Action, Cause

if TYPE_CHECKING:
    from collections.abc import Iterator


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Extra:
    """What comes with a notification (`TaskNotificationExtra`)."""

    authorization: dict[str, Any] | None = None
    block_number: int = 0
    abort_cause: Cause | None = None

    def as_json(self) -> dict[str, Any]:
        """The extra on the wire, nulls written."""
        return {
            "workerpoolAuthorization": self.authorization,
            "smsUrl": None,
            "blockNumber": self.block_number,
            "taskAbortCause": self.abort_cause,
        }


@frozen
class Message:
    """One `TaskNotification`. No *workers*: for every subscriber."""

    chain_task_id: str
    action: Action
    workers: Sequence[str] = ()
    extra: Extra | None = None

    def as_json(self) -> dict[str, Any]:
        """The message on the wire, with the getter that Java serialises at the top level."""
        cause = self.extra.abort_cause if self.extra else None
        return {
            "chainTaskId": self.chain_task_id,
            "workersAddress": list(self.workers),
            "taskNotificationType": self.action,
            "taskNotificationExtra": self.extra.as_json() if self.extra else None,
            "taskAbortCause": cause or Cause.UNKNOWN,
        }


@define(eq=False)
class _Drop:
    actions: frozenset[Action]
    left: float


@define(eq=False)
class Notifications:
    """Publishes messages to the topics of tasks. *sent* has all, also those that were dropped."""

    broker: SimpleBroker
    sent: list[Message] = field(factory=list, init=False)
    _held: list[Message] | None = field(default=None, init=False)
    _drops: list[_Drop] = field(factory=list, init=False)

    def publish(self, message: Message) -> None:
        """Deliver *message* to the subscribers of its task, unless a test has other plans."""
        self.sent.append(message)
        if self._dropped(message):
            log.info("notification dropped", action=message.action)
        elif self._held is not None:
            self._held.append(message)
        else:
            self._deliver(message)

    def drop(self, *actions: Action, times: float = math.inf) -> None:
        """Lose the next messages of these kinds; all kinds when none is named."""
        self._drops.append(_Drop(frozenset(actions or Action), times))

    @contextmanager
    def held(self) -> Iterator[list[Message]]:
        """Hold messages back while the block runs, then deliver them."""
        held: list[Message] = []
        self._held = held
        try:
            yield held
        finally:
            self._held = None
            for message in held:
                self._deliver(message)

    def _dropped(self, message: Message) -> bool:
        self._drops = [drop for drop in self._drops if drop.left > 0]
        for drop in self._drops:
            if message.action in drop.actions:
                drop.left -= 1
                return True
        return False

    def _deliver(self, message: Message) -> None:
        destination = f"/topic/task/{message.chain_task_id}"
        receivers = self.broker.publish(destination, json.dumps(message.as_json()))
        log.debug("notification sent", action=message.action, receivers=receivers)
