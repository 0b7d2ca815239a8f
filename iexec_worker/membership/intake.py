"""Asking for work: a free slot first, then the question."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import structlog
import trio
from attrs import define, field

from iexec_worker.errors import Unavailable
from iexec_worker.supervise import every

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.model import ReplicateOffer
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
    _hindered: bool = field(init=False, default=False)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Ask for ever. Raises what the session raises; a slot in hand is given back."""
        task_status.started()
        async for _ in every(self.period):
            slot = await self._slot()
            taken = False
            try:
                taken = await self._ask(slot)
            finally:
                if not taken:
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
            self._hinder(obstacle)
            return False
        self._hindered = False
        block = await self.blocks.current()
        offer = await self.session.available(block.number)
        if offer is None:
            self.node.doing = "no work: the pool has nothing for us (204)"
            return False
        self.node.doing = f"took task {offer.authorization.chain_task_id}"
        await self._take(offer, slot)
        return True

    async def _take(self, offer: ReplicateOffer, slot: Slot) -> None:
        """Hand the offer on, also when the session ends just now: the pool gives it only once."""
        with trio.CancelScope(shield=True):
            try:
                await self.replicates.begin(offer, slot)
            except OSError as error:
                task_id = offer.authorization.chain_task_id
                raise Unavailable(f"{task_id} cannot be written down: {error}") from error

    def _hinder(self, obstacle: str) -> None:
        """Show what is in the way; in the log only that there is something now."""
        if not self._hindered:
            log.warning("no work is taken", reason=obstacle)
        self._hindered = True
        self.node.doing = obstacle
