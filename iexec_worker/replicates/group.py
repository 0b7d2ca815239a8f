"""All replicates that are alive: begun by an offer or a journal, found again by their task."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import structlog
import trio
from attrs import define, field

from iexec_worker.model import ZERO_ADDRESS, Authorization
from iexec_worker.replicates.credibility import PUBLISHED
from iexec_worker.replicates.journal import durably
from iexec_worker.replicates.replicate import Replicate
from iexec_worker.replicates.steps import WAITING
from iexec_worker.replicates.table import COMPUTING
from iexec_worker.stages.task import Record, Task
from iexec_worker.supervise import FOREVER, Backoff, Restart, supervise
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action

if TYPE_CHECKING:
    from iexec_worker.model import Notification, ReplicateOffer
    from iexec_worker.replicates.slots import Slot
    from iexec_worker.replicates.surroundings import Surroundings
    from iexec_worker.stages.trusted.reports import Reports

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: A replicate that ends is done; one that fails goes on from its record, until its deadline.
POLICY = attrs.evolve(FOREVER, restart=Restart.TRANSIENT)

#: Between two tries to list the folders of tasks.
LISTING: Final = Backoff(first=1.0, limit=30.0)


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
    _closing: bool = field(init=False, default=False)
    #: Set once the folders of tasks were read: before, nobody knows what is lost.
    _resumed: bool = field(init=False, default=False)
    #: Set once the pool has said which tasks of ours it still wants, and they live.
    recovered: trio.Event = field(init=False, factory=trio.Event)

    def __len__(self) -> int:
        return len(self._live)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks of all replicates that are alive."""
        return tuple(live.task for live in self._live.values())

    def lives(self, task_id: str) -> bool:
        """True iff a replicate of this task is alive."""
        return task_id in self._live

    def reports(self, task_id: str) -> Reports | None:
        """Where the enclaves of a task that is alive are heard; None when there is none."""
        live = self._live.get(task_id)
        return None if live is None else live.reports

    def images(self) -> tuple[str, ...] | None:
        """Names of the images of all tasks that are alive; None while one was not described."""
        if not all(task.known for task in self.tasks):
            return None
        return tuple(task.description.app_uri for task in self.tasks)

    def close(self) -> None:
        """Take on no more once none is alive: what is offered then is for the next life."""
        self._closing = True

    @property
    def _over(self) -> bool:
        """True when the nursery may be closed already, or is so at the next moment."""
        return self._closing and not self._live

    async def resume(self) -> None:
        """
        Bring back what the journal holds, and look into what it should hold.

        Folders that cannot be listed are listed later: a worker starts without them.
        """
        try:
            await self._resume()
        except OSError as error:
            log.error("the tasks of an earlier life cannot be read", reason=str(error))  # noqa: TRY400 - no bug, so no traceback
            self.nursery.start_soon(self._resume_later)

    async def _resume(self) -> None:
        records, lost = await self.around.journal.load()
        for record in records:
            log.info("resuming", task=record.authorization.chain_task_id, action=record.action)
            self._spawn(record, None)
        for task_id in lost:
            log.warning("its journal is lost, finding out what it held", task=task_id)
            self._spawn(Record(self._unsigned(task_id), lost=True, offer_lost=True), None)
        self._resumed = True

    async def _resume_later(self) -> None:
        tries = 0
        while not self._resumed:
            tries += 1
            self.node.doing = self.around.journal.trouble
            await trio.sleep(LISTING.delay(tries))
            try:
                await self._resume()
            except OSError as error:
                log.warning("the tasks of an earlier life cannot be read", reason=str(error))
        self.node.doing = ""

    def _unsigned(self, task_id: str) -> Authorization:
        """Stand for the permission of a task whose journal is lost, until the pool repeats it."""
        return Authorization(task_id, self.around.conditions.wallet, ZERO_ADDRESS, "")

    async def begin(self, offer: ReplicateOffer, slot: Slot) -> None:
        """Take an offer on; *slot* goes to the replicate. A task that lives already is left."""
        task_id = offer.authorization.chain_task_id
        if task_id in self._live:
            log.warning("offered a task that is under way", task=task_id)
            slot.release()
            return
        record = Record(offer.authorization, offer.sms_url, Action.PLEASE_START)
        if self._over:
            slot.release()
            log.warning("offered when the worker ended: the next life begins it", task=task_id)
            await self.around.journal.save(record)
            return
        log.info("task begins", task=task_id)
        self._spawn(record, slot)

    async def uploaded(self) -> None:
        """Wait, for a while, until the pool may be asked what it wants."""
        await self.around.credibility.uploads.ended()

    async def recover(self, notifications: tuple[Notification, ...]) -> None:
        """Act on all that the pool says of replicates which it thinks interrupted."""
        for notification in notifications:
            if notification.chain_task_id not in self._live:
                self._take_up(notification)
            if notification.chain_task_id in self._live:
                self._remind(self._live[notification.chain_task_id], notification)
        named = {notification.chain_task_id for notification in notifications}
        for task_id in self._live.keys() - named:
            self._live[task_id].disown()
        self.recovered.set()

    def _take_up(self, notification: Notification) -> None:
        """Live for a task that the pool counts as ours and of which nothing is left here."""
        if notification.authorization is None or self._over or not self._resumed:
            return
        task_id = notification.chain_task_id
        log.warning("nothing is left of a task, finding out", task=task_id)
        self._spawn(Record(notification.authorization, lost=True, offer_lost=True), None)

    def _remind(self, live: Replicate, notification: Notification) -> None:
        """
        Repeat what a lost message may have said.

        A busy replicate knows its next step better than the pool, which only knows what it was
        told; but what is published is published once, so it is kept for when the step has ended.
        """
        idle = live.task.record.action is None
        if notification.action in PUBLISHED or (idle and notification.action not in WAITING):
            live.deliver(notification)

    def _spawn(self, record: Record, slot: Slot | None) -> None:
        task_id = record.authorization.chain_task_id
        journal, node = self.around.journal, Node(task_id)
        save = partial(durably, record, node, journal)
        task = Task(record, journal.folder(task_id), node, save)
        # At once, not when its Trio task first runs: from here on it lives.
        self.around.sending.adopt(task)
        self.around.credibility.uploads.enter(task)
        self._live[task_id] = Replicate(task, self.around, slot)
        self.nursery.start_soon(self._run, self._live[task_id])

    async def _run(self, replicate: Replicate) -> None:
        task = replicate.task
        try:
            # Open for as long as it lives: nothing is missed while it is started again.
            with (
                self.node.adopted(task.node),
                self.around.subscriptions.open(task.id) as inbox,
            ):
                await supervise(partial(replicate.run, inbox), task.node, POLICY)
                log.info("task ends", task=task.id, told=task.record.told[-1:])
        finally:
            replicate.release()
            self.around.sending.release(task)
            self.around.credibility.uploads.leave(task)
            del self._live[task.id]

    @property
    def computing(self) -> int:
        """How many replicates are at a step that needs a slot."""
        return sum(live.task.record.action in COMPUTING for live in self._live.values())
