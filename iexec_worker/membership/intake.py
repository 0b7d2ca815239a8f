"""Asking for work: a free slot first, then the question."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import structlog
import trio
from attrs import define

from iexec_worker.supervise import every

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.chain.blocks import BlockWatch
    from iexec_worker.replicates.group import Replicates
    from iexec_worker.replicates.slots import Slot, Slots
    from iexec_worker.scheduler.session import Session
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@define(eq=False)
class Intake:
    """
    Asks the pool for tasks every *period* seconds while there is room and nothing is in the way.

    *obstacle* says why no work may be taken now, empty when nothing is in the way.
    """

    session: Session
    slots: Slots
    replicates: Replicates
    blocks: BlockWatch
    obstacle: Callable[[], Awaitable[str]]
    period: float
    node: Node

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Ask for ever. Raises what the session raises; a slot in hand is given back."""
        slot: Slot | None = None
        task_status.started()
        try:
            async for _ in every(self.period):
                slot = slot or await self._slot()
                if await self._ask(slot):
                    slot = None
        finally:
            if slot is not None:
                slot.release()
        raise AssertionError("every() never ends")

    async def _slot(self) -> Slot:
        if self.slots.used >= self.slots.total:
            self.node.doing = f"all {self.slots.total} slots are taken"
        return await self.slots.acquire()

    async def _ask(self, slot: Slot) -> bool:
        """Ask once; True when an offer took the slot."""
        obstacle = await self.obstacle()
        if obstacle:
            if obstacle != self.node.doing:
                log.warning("no work is taken", reason=obstacle)
            self.node.doing = obstacle
            return False
        block = await self.blocks.current()
        offer = await self.session.available(block.number)
        if offer is None:
            self.node.doing = "no work: the pool has nothing for us (204)"
            return False
        self.node.doing = f"took task {offer.authorization.chain_task_id}"
        await self.replicates.begin(offer, slot)
        return True
