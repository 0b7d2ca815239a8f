"""All replicates that are alive: begun by an offer or a journal, found again by their task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import structlog
import trio
from attrs import define, field

from iexec_worker.replicates.credibility import PUBLISHED
from iexec_worker.replicates.replicate import Replicate, Surroundings
from iexec_worker.replicates.steps import WAITING
from iexec_worker.replicates.table import COMPUTING
from iexec_worker.stages.task import Record, Task
from iexec_worker.supervise import FOREVER, Restart, supervise
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action

if TYPE_CHECKING:
    from iexec_worker.model import Notification, ReplicateOffer
    from iexec_worker.replicates.slots import Slot

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A replicate that ends is done; one that fails goes on from its record, until its deadline.
POLICY = attrs.evolve(FOREVER, restart=Restart.TRANSIENT)


@define(eq=False)
class Replicates:
    """
    Spawns replicates into *nursery* and hands them what the pool answers.

    The nursery is the membership's: replicates outlive sessions and end before it does.
    """

    around: Surroundings
    nursery: trio.Nursery
    node: Node
    _live: dict[str, Replicate] = field(init=False, factory=dict)
    #: Tasks whose record is being written: they do not live yet, but are not forgotten either.
    _begun: set[str] = field(init=False, factory=set)
    _closed: bool = field(init=False, default=False)
    #: Set once the pool has said which tasks of ours it still wants, and they live.
    recovered: trio.Event = field(init=False, factory=trio.Event)

    def __len__(self) -> int:
        return len(self._live)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of all replicates that are alive."""
        return tuple(live.task for live in self._live.values())

    def lives(self, task_id: str) -> bool:
        """True iff a replicate of this task is alive, or about to be."""
        return task_id in self._live or task_id in self._begun

    def close(self) -> None:
        """Begin no more: what is offered from now on is written down for the next life."""
        self._closed = True

    async def resume(self) -> None:
        """Bring back what the journal holds."""
        for record in await self.around.journal.load():
            log.info("resuming", task=record.authorization.chain_task_id, action=record.action)
            self._spawn(record, None)

    async def begin(self, offer: ReplicateOffer, slot: Slot) -> None:
        """Take an offer on; *slot* goes to the replicate. A task that lives already is left."""
        task_id = offer.authorization.chain_task_id
        if task_id in self._live:
            log.warning("offered a task that is under way", task=task_id)
            slot.release()
            return
        record = Record(offer.authorization, offer.sms_url, Action.PLEASE_START)
        log.info("task begins", task=task_id)
        # On disk before anything is told: from here on the task is not forgotten.
        await self._write_down(record)
        if self._closed:
            log.warning("offered when the worker ended: the next life begins it", task=task_id)
            slot.release()
            return
        self._spawn(record, slot)

    async def recover(self, notifications: tuple[Notification, ...]) -> None:
        """Act on the pool's answer about replicates it thinks interrupted."""
        for notification in notifications:
            live = self._live.get(notification.chain_task_id)
            if live is not None:
                self._remind(live, notification)
            elif notification.authorization is not None:
                await self._rebuild(notification)
        self.recovered.set()

    def _remind(self, live: Replicate, notification: Notification) -> None:
        """
        Repeat what a lost message may have said.

        A busy replicate knows its next step better than the pool, which only knows what it was
        told; but what is published is published once, so it is kept for when the step has ended.
        """
        idle = live.task.record.action is None
        if notification.action in PUBLISHED or (idle and notification.action not in WAITING):
            live.deliver(notification)

    async def _rebuild(self, notification: Notification) -> None:
        """Take up a task whose journal is lost: whatever was told before is answered with 208."""
        if notification.action is not Action.PLEASE_CONTRIBUTE:
            log.warning(
                "a task of ours is lost",
                task=notification.chain_task_id,
                wanted=notification.action,
            )
            return
        assert notification.authorization is not None
        record = Record(notification.authorization, None, Action.PLEASE_START)
        log.warning("journal lost, starting again", task=notification.chain_task_id)
        await self._write_down(record)
        self._spawn(record, None)

    async def _write_down(self, record: Record) -> None:
        """Save the record of a task that does not live yet; who looks for leftovers knows it."""
        task_id = record.authorization.chain_task_id
        self._begun.add(task_id)
        try:
            await self.around.journal.save(record)
        finally:
            self._begun.discard(task_id)

    def _spawn(self, record: Record, slot: Slot | None) -> None:
        task_id = record.authorization.chain_task_id
        journal = self.around.journal
        node = Node(task_id)
        task = Task(record, journal.folder(task_id), node, lambda: journal.save(record))
        # At once, not when its Trio task first runs: from here on it lives.
        self.around.sending.adopt(task)
        self._live[task_id] = Replicate(task, self.around, slot)
        self.nursery.start_soon(self._run, self._live[task_id])

    async def _run(self, replicate: Replicate) -> None:
        task = replicate.task
        try:
            with self.node.adopted(task.node):
                await supervise(replicate.run, task.node, POLICY)
                log.info("task ends", task=task.id, told=task.record.told[-1:])
        finally:
            replicate.release()
            self.around.sending.release(task)
            del self._live[task.id]

    @property
    def computing(self) -> int:
        """How many replicates are at a step that needs a slot."""
        return sum(live.task.record.action in COMPUTING for live in self._live.values())
