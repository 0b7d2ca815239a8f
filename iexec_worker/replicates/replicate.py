"""The life of one replicate, from the pool's offer to COMPLETED or ABORTED."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.model import StatusUpdate
from iexec_worker.replicates.asking import UNANSWERED
from iexec_worker.replicates.description import describe
from iexec_worker.replicates.overtaking import Overtaking
from iexec_worker.replicates.rebuilding import Rebuilding
from iexec_worker.replicates.stakes import at_stake
from iexec_worker.replicates.standings import abort_cause, over, overdue
from iexec_worker.replicates.table import COMPUTING, ON_CHAIN, ROWS
from iexec_worker.replicates.topic import Topic
from iexec_worker.replicates.waiting import Waiting
from iexec_worker.stages.trusted.reports import Reports
from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from iexec_worker.model import Notification
    from iexec_worker.replicates.slots import Slot
    from iexec_worker.replicates.surroundings import Surroundings
    from iexec_worker.stages.conditions import Standing
    from iexec_worker.stages.task import Task

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Time to tell the pool that we dropped a task, seconds. Beyond it nobody is interested.
ABORT_BUDGET: Final = 300.0


@define(eq=False)
class Replicate:
    """
    One task's state and the loop that moves it on.

    Others reach it through `deliver` and the topic only. *slot* is held while it computes.
    """

    task: Task
    around: Surroundings
    slot: Slot | None
    _todo: trio.MemorySendChannel[Action] = field(init=False)
    _next: trio.MemoryReceiveChannel[Action] = field(init=False)
    _step: trio.CancelScope | None = field(init=False, default=None)
    #: An abort that is believed and was not looked at yet; between two steps, too.
    _abort_asked: bool = field(init=False, default=False)
    _cause: Cause = field(init=False, default=Cause.UNKNOWN)
    #: What is next instead of the step under way.
    _overtaken_by: Action | None = field(init=False, default=None)
    #: The pool has said what it wants of us, and this task is not in it.
    _disowned: bool = field(init=False, default=False)
    _asking: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    _waiting: Waiting = field(init=False)

    #: Where the enclaves of its task are heard.
    reports: Reports = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reports = Reports(self.task, self.around.conditions, self.around.blocks)
        # Four published actions and an answer of the recovery: more than this is a flood.
        self._todo, self._next = trio.open_memory_channel(16)
        self._waiting = Waiting(
            self.task, self.around, self._next.receive, self._overdue, self.deliver
        )

    async def run(
        self,
        inbox: trio.MemoryReceiveChannel[Notification],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """
        Live until the task is over for us; leaves nothing behind then.

        Cancelled or failed, it leaves its record, from which the next run goes on.
        """
        around = self.around
        topic = Topic(self.task, around.credibility, around.blocks, self._accept)
        task_status.started()
        if not self.task.record.told:
            # On disk before anything is told: from here on the task is not forgotten.
            await self.task.save()
        if not await self._describe():
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(topic.listen, inbox)
            await self._live()
            nursery.cancel_scope.cancel()

    def release(self) -> None:
        """Give the compute slot back, if it is still held."""
        if self.slot is not None:
            self.slot.release()
            self.slot = None

    def deliver(self, notification: Notification) -> None:
        """Take what the pool itself answered about this task: it needs no confirmation."""
        record = self.task.record
        if notification.authorization is not None and not record.authorization.signature:
            record.authorization = notification.authorization
        self._accept(notification)

    def disown(self) -> None:
        """Take it that the pool wants nothing of this task: one whose journal is lost may go."""
        if self.task.record.lost:
            self._disowned = True
            self._asking.cancel()

    async def _describe(self) -> bool:
        """Read the task's description; False when there is no such task, and it was given back."""
        around, task = self.around, self.task
        refused = await describe(task, around.hub, around.now, disowned=self._disowned)
        if refused is None:
            return True
        if not self._disowned:
            await self._last_words(
                StatusUpdate(Status.STARTING), StatusUpdate(Status.START_FAILED, cause=refused)
            )
        await self.around.journal.forget(self.task.id)
        return False

    async def _last_words(self, *updates: StatusUpdate) -> None:
        """Tell what nothing depends on any more; a pool that does not hear it is let be."""
        deadline = self.around.now() + ABORT_BUDGET
        try:
            for update in updates:
                await self.around.steps.tell(self.task, update, deadline=deadline)
        except UNANSWERED as error:
            log.warning("the pool was not told of an end", task=self.task.id, reason=str(error))

    async def _live(self) -> None:
        record = self.task.record
        action = record.action
        while Status.COMPLETED not in record.told:
            if record.lost and not self._abort_asked:
                action = await self._rebuild()
            if action is None and not self._abort_asked:
                self.release()
                action = await self._waiting()
            if action is Action.PLEASE_ABORT or self._abort_asked or self._is_too_late(action):
                if await self._abort():
                    return
                action = None if action is Action.PLEASE_ABORT else action
            elif action is not None and self._sensible(action):
                completing = action is Action.PLEASE_COMPLETE
                action = await self._perform(action)
                if completing and action is not Action.PLEASE_COMPLETE:
                    # Whatever the pool makes of the news: the chain says that it is over.
                    break
            else:
                action = None
        await self.around.journal.forget(self.task.id)

    def _is_too_late(self, action: Action | None) -> bool:
        """True when *action* can have no effect any more, and nobody is interested in its news."""
        late = self.around.now() - self.task.description.final_deadline
        return late >= (ABORT_BUDGET if action is Action.PLEASE_COMPLETE else 0)

    def _sensible(self, action: Action) -> bool:
        """False for what was done already, and for what cannot follow what was done."""
        record = self.task.record
        if not self.around.steps.can(action) or ROWS[action].done in record.told:
            log.warning("action ignored", task=self.task.id, action=action)
            return False
        return True

    async def _rebuild(self) -> Action | None:
        """Find out what the lost journal held; an abort from outside ends even that."""
        record, action = self.task.record, None
        rebuilding = Rebuilding(
            self.task,
            self.around.credibility,
            self.around.steps,
            self.around.post_compute,
            self._heard,
            partial(self._take_slot, Action.PLEASE_COMPUTE),
        )
        with trio.CancelScope() as scope:
            self._step = scope
            try:
                action = await rebuilding()
            finally:
                self._step = None
            record.lost, record.action = False, action
            await self.task.save()
        return action

    async def _heard(self) -> Action:
        """Wait for what is asked of us: PLEASE_ABORT by a pool that does not name the task."""
        with trio.CancelScope() as self._asking:
            if not self._disowned:
                return await self._next.receive()
        return Action.PLEASE_ABORT

    async def _perform(self, action: Action) -> Action | None:
        """Do one step; an abort, or what the chain shows meanwhile, cancels it and is next."""
        record = self.task.record
        # What is cut has still to be done, in case the abort is not believed in the end.
        following: Action | None = action
        async with trio.open_nursery() as nursery:
            # A transaction under way is never cut: it may be mined all the same.
            self._step = None if action in ON_CHAIN else nursery.cancel_scope
            nursery.start_soon(self._overtake, action, nursery.cancel_scope)
            try:
                if record.action is not action:
                    record.action = action
                    await self.task.save()
                await self._take_slot(action)
                following = await self.around.steps.perform(self.task, action)
                nursery.cancel_scope.cancel()
            finally:
                self._step = None
        if self._overtaken_by is not None:
            following, self._overtaken_by = self._overtaken_by, None
        if following not in COMPUTING:
            self.release()
        return following

    async def _overtake(self, action: Action, step: trio.CancelScope) -> None:
        overtaking = Overtaking(self.task, self.around.conditions, self._overdue)
        found = await overtaking(action)
        if found is Action.PLEASE_REVEAL:
            self.around.steps.hold_back(self.task)
        self._overtaken_by = found
        step.cancel()

    async def _take_slot(self, action: Action) -> None:
        """Hold a slot for a step that computes, and none for others."""
        if action not in COMPUTING:
            self.release()
        elif self.slot is None:
            self.task.node.doing = "waiting for a compute slot"
            self.slot = await self.around.slots.acquire()

    def _overdue(self, standing: Standing) -> Action | None:
        now, record = self.around.now(), self.task.record
        found = overdue(self.task, standing, now)
        if found is Action.PLEASE_REVEAL and not record.consensus_block:
            latest = self.around.blocks.latest
            record.consensus_block = latest.number if latest else 0
        if found is Action.PLEASE_REVEAL and record.computed is None:
            # There is nothing that could be revealed.
            return None
        if found is None and over(standing, self.around.now()):
            self._cause = abort_cause(standing, now)
            return Action.PLEASE_ABORT
        return found

    def _accept(self, notification: Notification) -> None:
        if notification.action is Action.PLEASE_REVEAL and notification.block_number > 0:
            self.task.record.consensus_block = notification.block_number
        if notification.action is Action.PLEASE_ABORT:
            self._cause, self._abort_asked = notification.abort_cause, True
            if self._step is not None:
                self._step.cancel()
                return
        uploading = self.task.record.action is Action.PLEASE_UPLOAD
        if notification.action is Action.PLEASE_COMPLETE and uploading and self._step is not None:
            # Nobody needs the upload any more.
            self._overtaken_by = Action.PLEASE_COMPLETE
            self._step.cancel()
            return
        try:
            self._todo.send_nowait(notification.action)
        except trio.WouldBlock:
            log.warning("action dropped, too many wait", task=self.task.id)

    async def _abort(self) -> bool:
        """Drop the task unless something of ours is still at stake; True when it is dropped."""
        self._abort_asked = False
        record = self.task.record
        if still := await at_stake(self.task, self.around):
            log.warning("not aborting", task=self.task.id, reason=still)
            if record.action is Action.PLEASE_ABORT:
                record.action = None
                await self.task.save()
            return False
        self.release()
        record.action = Action.PLEASE_ABORT
        await self.task.save()
        await self.around.discard(self.task)
        await self._last_words(StatusUpdate(Status.ABORTED, cause=self._cause))
        await self.around.journal.forget(self.task.id)
        return True
