"""What is published about a task: taken message by message, each once it is confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import structlog
import trio
from attrs import frozen

from iexec_worker.replicates.asking import patiently
from iexec_worker.replicates.credibility import PUBLISHED
from iexec_worker.wire import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.model import Notification
    from iexec_worker.replicates.credibility import Credibility
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A published action that the chain does not confirm within this many blocks is not believed:
#: the pool's node may be some blocks ahead of ours, but not more.
BLOCKS_TO_CONFIRM: Final = 10


@frozen
class Topic:
    """Reads a task's inbox; *accept* gets what is believed."""

    task: Task
    credibility: Credibility
    blocks: BlockWatch
    accept: Callable[[Notification], None]

    async def listen(self, inbox: trio.MemoryReceiveChannel[Notification]) -> None:
        """
        Take messages until cancelled.

        One of each action is looked at at a time, so that a flood costs four questions.
        """
        checking: set[Action] = set()

        async def consider(notification: Notification) -> None:
            doubt = await self._doubt(notification)
            checking.discard(notification.action)
            if doubt:
                log.warning(
                    "notification not believed",
                    task=self.task.id,
                    action=notification.action,
                    reason=doubt,
                )
            else:
                self.accept(self._plausible(notification))

        async with trio.open_nursery() as nursery:
            async for notification in inbox:
                if notification.action not in checking:
                    checking.add(notification.action)
                    nursery.start_soon(consider, notification)

    async def _doubt(self, notification: Notification) -> str:
        """Confirm a message, giving our node some blocks to catch up."""
        action = notification.action
        doubt = await self._ask(action)
        if action is Action.PLEASE_ABORT or action not in PUBLISHED:
            return doubt
        start = (await self.blocks.current()).number
        while doubt and (await self.blocks.next()).number <= start + BLOCKS_TO_CONFIRM:
            doubt = await self._ask(action)
        return doubt

    async def _ask(self, action: Action) -> str:
        return await patiently(
            self.task, self.blocks, lambda: self.credibility.doubt(self.task, action)
        )

    def _plausible(self, notification: Notification) -> Notification:
        """
        Believe no block number that lies ahead of our node.

        It has just shown us the consensus, so that the block of the consensus is there; waiting
        for the one that a stranger made up would cost the reveal, and with it the stake.
        """
        latest = self.blocks.latest
        head = latest.number if latest else notification.block_number
        return attrs.evolve(notification, block_number=min(notification.block_number, head))
