"""What a run has come to, for pool and chain, and that nothing is left of it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.model import TaskStatus
from iexec_worker.results.link import ipfs_link
from iexec_worker.wire import Status
from tests.chaos.contracts import TASK
from tests.chaos.proxy import HASH

if TYPE_CHECKING:
    from tests.chaos.life import Life
    from tests.chaos.world import World

LINK: Final = ipfs_link(HASH).encode()


@frozen
class Outcome:
    """
    The end of a run; the defaults are the standard flow's.

    *replicate*: what the pool heard last, None when it does not know us. *sent*: transactions of
    ours in the order of their blocks, and whether they had an effect. *received*: what the
    callback of the deal was called with.
    """

    task: TaskState = TaskState.COMPLETED
    replicate: Status | None = Status.COMPLETED
    onchain: TaskStatus = TaskStatus.COMPLETED
    results: bytes = LINK
    sent: tuple[tuple[str, bool], ...] = (("contribute", True), ("reveal", True))
    received: bytes = b""


STANDARD: Final = Outcome()


def read_outcome(world: World) -> Outcome:
    """Read the end from pool and chain."""
    found = world.desk.found()
    contracts = world.node.contracts
    return Outcome(
        task=world.desk.scheduler.store.tasks[TASK].state,
        replicate=found[1].relevant if found else None,
        onchain=contracts.status,
        results=contracts.results,
        sent=tuple((m.label, m.succeeded) for m in world.node.mined),
        received=contracts.received,
    )


def check_nothing_left(world: World, life: Life) -> None:
    """Nothing of a task is left in worker, engine, mempool and on the disk."""
    assert life.empty, "a slot or a subscription is left"
    assert not world.machine.held, f"containers left: {list(world.machine.held)}"
    left = sorted(path.name for path in world.tasks.glob("0x*"))
    assert not left, f"left on the disk: {left}"
    assert not world.node.waiting, "a transaction still waits"
