"""Membership: one session with the pool after the other; the replicates outlive them all."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import attrs
import trio

from iexec_worker.janitor.janitor import Janitor
from iexec_worker.membership.attendance import Attendance, TermsChanged
from iexec_worker.membership.parking import Parking
from iexec_worker.replicates.group import Replicates
from iexec_worker.supervise import FOREVER, supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.membership.member import Member
    from iexec_worker.telemetry.tree import Node

#: A session is made again for ever; only other terms are for the level above.
SESSION: Final = attrs.evolve(FOREVER, through=(*FOREVER.through, TermsChanged))


async def run(
    member: Member,
    node: Node,
    seat: Callable[[Attendance], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Keep the membership until drained; *seat* is given what readiness asks.

    The end has the order of the nesting: intake stops when draining is set, then the
    replicates end, or are parked when patience ends, and heartbeat and link end last.
    """
    with (
        node.child("session") as session,
        node.child("replicates") as replicates,
        node.child("janitor") as janitor,
    ):
        async with trio.open_nursery() as services:
            async with trio.open_nursery() as nursery:
                # Closed before the nursery is, also when cancelled: an answer may still be on its
                # way that offers a task.
                with closing(Replicates(member.around, nursery, replicates)) as group:
                    await group.resume()
                    tidy = Janitor(
                        member.leftovers,
                        member.images,
                        group.lives,
                        group.images,
                        group.recovered,
                        janitor,
                    )
                    services.start_soon(supervise, tidy.run, janitor, FOREVER)
                    attendance = Attendance(member, group, session)
                    seat(attendance)
                    services.start_soon(supervise, attendance.run, session, SESSION)
                    services.start_soon(_park, member, group, nursery.cancel_scope)
                    task_status.started()
                    await member.ending.draining.wait()
            services.cancel_scope.cancel()


async def _park(member: Member, group: Replicates, replicates: trio.CancelScope) -> None:
    """End the replicates that are left when patience ends; they go on from their journals."""
    await member.ending.patience_ends()
    await Parking(member.around.conditions).announce(group.tasks)
    member.ending.park()
    replicates.cancel()
