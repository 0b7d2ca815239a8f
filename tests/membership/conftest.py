"""A pool, a chain and replicates in memory, for what stands above replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import define, field

from iexec_worker.chain.node.rpc import Block
from iexec_worker.errors import Unavailable
from iexec_worker.model import Authorization, ReplicateOffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.model import Notification, WorkerModel
    from iexec_worker.replicates.slots import Slot

WALLET: Final = "0x" + 40 * "1"


def offer(digit: str) -> ReplicateOffer:
    return ReplicateOffer(Authorization("0x" + 64 * digit, WALLET, "0x" + 40 * "0", "0x"), None)


def nothing() -> None:
    """Happens."""


@define(eq=False)
class FakeSession:
    """A pool that counts what it was asked."""

    offers: list[ReplicateOffer] = field(factory=list)
    asked: int = 0
    registered: int = 0
    ping_id: str = "0x1"
    pings_fail: bool = False
    #: Seconds.
    ping_takes: float = 0
    computing_tasks: list[tuple[str, ...] | Exception] = field(factory=list)
    on_ask: Callable[[], None] = nothing
    on_register: Callable[[], None] = nothing

    async def available(self, block: int) -> ReplicateOffer | None:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        self.on_ask()
        return self.offers.pop(0) if self.offers else None

    async def register(self, model: WorkerModel) -> None:
        await trio.lowlevel.checkpoint()
        self.registered += 1
        self.on_register()

    async def ping(self) -> str:
        await trio.lowlevel.checkpoint()
        if self.pings_fail:
            await trio.sleep_forever()
        await trio.sleep(self.ping_takes)
        return self.ping_id

    def last_answer(self) -> str:
        return "just now"

    async def computing(self) -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        found = self.computing_tasks.pop(0) if self.computing_tasks else ()
        if isinstance(found, Exception):
            raise found
        return found

    async def interrupted(self, block: int) -> tuple[Notification, ...]:
        await trio.lowlevel.checkpoint()
        return ()


@define(eq=False)
class FakeReplicates:
    """Takes offers, or raises *error*. *computing* and *living* are what attendance asks for."""

    begun: list[tuple[str, Slot]] = field(factory=list)
    computing: int = 0
    living: int = 0
    error: Exception | None = None

    def __len__(self) -> int:
        return self.living

    async def begin(self, offer: ReplicateOffer, slot: Slot) -> None:
        # What the write of a journal does first: one who is cancelled begins nothing.
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.begun.append((offer.authorization.chain_task_id, slot))

    async def uploaded(self) -> None:
        await trio.lowlevel.checkpoint()

    async def recover(self, notifications: tuple[Notification, ...]) -> None:
        await trio.lowlevel.checkpoint()


@define(eq=False)
class FakeBlocks:
    trouble: str = ""

    async def current(self) -> Block:
        await trio.lowlevel.checkpoint()
        return Block(7, 0)


def _already() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@define(eq=False)
class FakeLink:
    """A link that comes up when *up* is set, and stays until *broken*."""

    transport: str = "memory"
    up: trio.Event = field(factory=_already)
    broken: trio.Event = field(factory=trio.Event)

    async def run(self, *, task_status: trio.TaskStatus[Any]) -> None:
        await self.up.wait()
        task_status.started()
        await self.broken.wait()
        raise Unavailable("the connection was reset")
