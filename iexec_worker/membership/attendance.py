"""One session with the pool: join, then heartbeat, link and intake until it is lost."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, frozen

from iexec_worker.errors import Fatal, SessionLost, WorkerError
from iexec_worker.membership.intake import Intake
from iexec_worker.scheduler import heartbeat
from iexec_worker.supervise import FOREVER, describe, supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.membership.join import Terms
    from iexec_worker.membership.member import Member
    from iexec_worker.replicates.group import Replicates
    from iexec_worker.scheduler.session import Session
    from iexec_worker.supervise import Service
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Why there is no session after one that ended without an error of its own.
CUT: Final = "the session was cut off: joining the pool again"

#: Why nothing may be hoped for between registration and a link, or two of them.
UNREACHED: Final = "registered, but the pool's notifications do not reach us"


class TermsChanged(WorkerError):
    """Raised when pool or chain are not what this worker was built for: build it anew."""


@define(eq=False)
class Attendance:
    """
    Sessions of *member*, one at a time.

        session          its scope's deadline is pushed on by every good ping
        ├── heartbeat
        └── link         what it carries is asked for again after every reconnect
            └── intake   asks for work only while the pool can reach us

    *trouble* says why there is no session now, empty while there is one.
    """

    member: Member
    replicates: Replicates
    node: Node
    trouble: str = "not registered yet"
    _ping_id: str = ""
    #: The pool's terms are others than ours, or may be; what computes under ours is to end first.
    _outdated: bool = False

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """
        Hold one session. Raises `SessionLost`, what joining raises, or `TermsChanged`.

        Cancelling it leaves the replicates alone: what they tell is held back.
        """
        try:
            await self._join()
            await self._hold(task_status)
        except BaseException as error:
            self.trouble = describe(error) if isinstance(error, Exception) else CUT
            raise

    @property
    def _ending(self) -> bool:
        """What is still to do is done under the terms that we have."""
        return self.member.ending.draining.is_set()

    async def _join(self) -> None:
        self.node.doing = "joining the pool"
        # Before the terms: a configuration that changes while we join shows at the next ping.
        self._ping_id = await self.member.session.ping()
        terms = await self._ask_terms()
        self._outdated = terms != self.member.terms
        if self._outdated and not self.replicates.computing and not self._ending:
            raise TermsChanged("the pool's configuration has changed: starting over with it")
        await self.member.session.register(self.member.model)

    async def _ask_terms(self) -> Terms:
        """Ask for the pool's terms. What never fits ends a worker only once it has no tasks."""
        try:
            return await self.member.ask_terms()
        except Fatal as error:
            if not len(self.replicates):
                raise
            # What is contributed is revealed by what the chain shows, without the pool.
            raise SessionLost(f"{error}; the tasks under way go on") from error

    async def _hold(self, task_status: trio.TaskStatus[None]) -> None:
        # The last of the pings that fail has its time to be answered, too.
        patience = (self.member.lost_after + heartbeat.PATIENCE) * heartbeat.PERIOD
        other_id, other_ids = trio.open_memory_channel[None](1)
        with trio.CancelScope() as scope:

            def alive(ping_id: str) -> None:
                scope.deadline = trio.current_time() + patience
                self._outdated = self._outdated or ping_id != self._ping_id
                if self._outdated and not self._ending:
                    with suppress(trio.WouldBlock):
                        other_id.send_nowait(None)

            scope.deadline = trio.current_time() + patience
            async with trio.open_nursery() as nursery:
                with self.node.child("heartbeat") as beat, self.node.child("link") as link:
                    nursery.start_soon(supervise, self._heartbeat(alive, beat), beat, FOREVER)
                    nursery.start_soon(supervise, self._linked(link), link, FOREVER)
                    self.node.doing = "registered"
                    log.info("registered", pool=self.member.terms.config.pool_address)
                    task_status.started()
                    await self._until_reconfigured(other_ids)
        raise SessionLost(
            f"{self.member.lost_after} pings in a row had no answer: the scheduler is lost; "
            "computations go on, their news is held back"
        )

    def _heartbeat(self, alive: Callable[[str], None], node: Node) -> Service:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            node.doing = f"a ping every {heartbeat.PERIOD:g} s"
            pings = _TimedPings(self.member.session, self.member.observe_ping)
            await heartbeat.run(pings, on_ping=alive)

        return run

    def _linked(self, node: Node) -> Service:
        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            try:
                self.trouble = UNREACHED
                async with trio.open_nursery() as nursery:
                    node.doing = "connecting"
                    await nursery.start(self.member.link.run)
                    node.doing = f"notifications come through {self.member.link.transport}"
                    await self._recover()
                    self.trouble = ""
                    task_status.started()
                    with node.child("intake") as intake:
                        await supervise(self._intake(intake).run, intake, FOREVER)
            finally:
                self.trouble = UNREACHED

        return run

    async def _recover(self) -> None:
        """
        Ask what nobody repeats: which of our tasks the pool waits for.

        What was held back is told beside this, each task's in its order, and RESULT_UPLOADED even
        before: a pool that is asked while it lacks that one finalises the task without its link.
        All others it takes before or after the question: that is only asked what it does not know.
        """
        await self.replicates.uploaded()
        block = await self.member.around.blocks.current()
        await self.replicates.recover(await self.member.session.interrupted(block.number))

    def _intake(self, node: Node) -> Intake:
        member = self.member
        return Intake(
            member.session,
            member.around.slots,
            self.replicates,
            member.around.blocks,
            self._obstacles,
            member.terms.config.ask_period,
            node,
        )

    async def _obstacles(self) -> str:
        """Say why no work may be taken; under terms that have changed it might be lost."""
        if self._outdated:
            return "the pool has another configuration: what computes under the old one ends first"
        return await self.member.obstacles()

    async def _until_reconfigured(self, other_ids: trio.MemoryReceiveChannel[None]) -> None:
        """Wait until the pool has another configuration and nothing of ours computes any more."""
        async for _ in other_ids:
            try:
                counted = len(await self.member.session.computing())
            except WorkerError as error:
                # The next ping brings the next look; the session itself is not in question.
                log.warning("computing tasks not known", reason=str(error))
                continue
            computing = max(counted, self.replicates.computing)
            if not computing:
                raise SessionLost("the scheduler has another configuration: joining again")
            self.node.doing = f"new configuration waits for {computing} computing tasks"


@frozen
class _TimedPings:
    """The session's pings, each measured."""

    session: Session
    observe: Callable[[float], None]

    async def ping(self) -> str:
        began = trio.current_time()
        answer = await self.session.ping()
        self.observe(trio.current_time() - began)
        return answer

    def last_answer(self) -> str:
        return self.session.last_answer()
