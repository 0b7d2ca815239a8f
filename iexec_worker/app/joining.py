"""The part of the tree that is made anew, as one piece, for every other set of a pool's terms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import httpx
import trio
from attrs import define, field

from iexec_worker.app.assembly import api_of, build_chain, build_member
from iexec_worker.app.machine import worker_model
from iexec_worker.app.watches import count_transactions
from iexec_worker.errors import Fatal, Rejected, SessionLost, Transient, Unauthorized
from iexec_worker.membership import join, membership
from iexec_worker.membership.attendance import TermsChanged
from iexec_worker.supervise import Interrupted, Policy, Restart, supervise
from iexec_worker.telemetry.tree import State
from iexec_worker.versions import enclaves_sign

if TYPE_CHECKING:
    from iexec_worker.app.identity import Chain, Identity
    from iexec_worker.app.readiness import Readiness
    from iexec_worker.membership.attendance import Attendance
    from iexec_worker.membership.join import Terms
    from iexec_worker.membership.member import Member
    from iexec_worker.stages.trusted.reports import Reports
    from iexec_worker.telemetry.tree import Node

#: What a membership fails with when the world around it (a disk, too) is not as it should be.
PASSING: Final = (
    Transient,
    Unauthorized,
    Rejected,
    SessionLost,
    TermsChanged,
    Interrupted,
    OSError,
)

#: Seconds that a caller waits at most; those of the original give up after a minute.
SETTLING: Final = 20.0


@define(eq=False)
class Joining:
    """
    Asks for the terms, then holds the membership that they are of.

    *policy* is for its parts. *ready* is told what there is to ask. *holding* is True while there
    are replicates, so that a drain is the membership's to end.
    """

    own: Identity
    ready: Readiness
    policy: Policy
    node: Node
    holding: bool = False
    #: Set while it is known which tasks are ours.
    _seated: trio.Event = field(init=False, factory=trio.Event)

    @property
    def own_policy(self) -> Policy:
        """Pool and node may be away, or change: for ever again. What a bug does is counted."""
        return attrs.evolve(self.policy, restart=Restart.TRANSIENT, borne=PASSING)

    def reports(self, task_id: str) -> Reports | None:
        """Where the enclaves of a task of ours are heard; None when there is no such task now."""
        joined = self.ready.attendance
        return None if joined is None else joined.replicates.reports(task_id)

    async def settle(self) -> None:
        """
        Wait, for a while, until it is known which tasks are ours, and who is on their network.

        An enclave of an earlier life's task calls once, perhaps just when the worker is back.
        """
        with trio.move_on_after(SETTLING):
            await self._seated.wait()
            if not enclaves_sign(self.pool_version):
                await self.own.enclaves.network.look()

    @property
    def pool_version(self) -> str:
        """What the pool says of itself; empty while there is no membership."""
        joined = self.ready.attendance
        return "" if joined is None else joined.member.terms.version

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be a member under the terms of now; returns when the worker has been drained."""
        own, settings = self.own, self.own.config.scheduler
        if own.ending.draining.is_set():
            return
        self.node.doing = f"asking the scheduler at {settings.url}"
        terms = await join.ask(api_of(own), own.clients.pool, settings.pool_address)
        async with own.clients.node(httpx.URL(terms.chain.node_url).host) as client:
            chain = build_chain(own, terms, client)
            self.node.doing = f"asking the node at {chain.provider.host}"
            await check_chain(chain, terms)
            model = worker_model(own.config, own.wallet.address)
            await self._hold(chain, build_member(own, terms, chain, model), task_status)

    async def _hold(self, chain: Chain, member: Member, task_status: trio.TaskStatus[None]) -> None:
        metrics, node = self.own.metrics, self.node
        metrics.chain_block_latest.set_function(
            lambda: chain.blocks.latest.number if chain.blocks.latest else 0
        )
        node.doing = f"member of {member.terms.config.pool_address}"
        with (
            node.child("blocks") as blocks,
            node.child("transactions") as transactions,
            node.child("wallet") as wallet,
            node.child("membership") as held,
        ):
            async with trio.open_nursery() as nursery:
                run_blocks = partial(chain.blocks.run, blocks)
                await nursery.start(supervise, run_blocks, blocks, self.policy)
                run_writer = partial(chain.transactions.run, transactions)
                nursery.start_soon(supervise, run_writer, transactions, self.policy)
                count = partial(count_transactions, chain.hub, metrics)
                nursery.start_soon(supervise, count, wallet, self.policy)
                task_status.started()
                held.enter(State.RUNNING)
                await self._attend(member, held)
                nursery.cancel_scope.cancel()

    async def _attend(self, member: Member, node: Node) -> None:
        try:
            self.holding = True
            self.ready.obstacles = member.obstacles
            await membership.run(member, node, self._seat)
        finally:
            self.holding = False
            self._seated = trio.Event()
            self.ready.attendance = self.ready.obstacles = None

    def _seat(self, attendance: Attendance) -> None:
        self.ready.attendance = attendance
        self._seated.set()


async def check_chain(chain: Chain, terms: Terms) -> None:
    """Raise `Fatal` when the node is of another chain than the pool, `Unavailable` without one."""
    found = await chain.provider.chain_id()
    if found != terms.chain.chain_id:
        raise Fatal(
            f"the node at {chain.provider.host} is of chain {found}, the pool works on chain "
            f"{terms.chain.chain_id}: correct IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS"
        )
