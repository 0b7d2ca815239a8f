"""Membership: one session with the pool after the other; the replicates outlive them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

from iexec_worker.membership.attendance import Attendance, TermsChanged
from iexec_worker.replicates.group import Replicates
from iexec_worker.supervise import FOREVER, Restart, supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.membership.member import Member
    from iexec_worker.supervise import Service
    from iexec_worker.telemetry.tree import Node

#: A session is made again for ever; only other terms are for the level above.
SESSION: Final = attrs.evolve(FOREVER, through=(*FOREVER.through, TermsChanged))

#: The engine may be away when the worker starts; once swept, it is done.
SWEEP: Final = attrs.evolve(FOREVER, restart=Restart.TRANSIENT)


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
    replicates end, or are parked after the drain time-out, and heartbeat and link end last.
    """
    with (
        node.child("session") as session,
        node.child("replicates") as replicates,
        node.child("sweep") as sweep,
    ):
        async with trio.open_nursery() as services:
            async with trio.open_nursery() as nursery:
                group = Replicates(member.around, nursery, replicates)
                await group.resume()
                await member.leftovers.remove_folders()
                services.start_soon(supervise, _sweep(member, group), sweep, SWEEP)
                attendance = Attendance(member, group, session)
                seat(attendance)
                services.start_soon(supervise, attendance.run, session, SESSION)
                task_status.started()
                await member.obstacles.draining.wait()
                nursery.cancel_scope.deadline = trio.current_time() + member.drain_timeout
            services.cancel_scope.cancel()


def _sweep(member: Member, group: Replicates) -> Service:
    async def once(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await member.leftovers.remove_containers(group.lives)

    return once
