"""What happens around the worker in the paths of a replicate's life."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import httpx
import trio

from iexec_worker.chain import commitments
from iexec_worker.devpool.broker.notifications import Extra, Message
from iexec_worker.devpool.scheduler.state import Replicate, TaskState
from iexec_worker.model import TaskStatus
from iexec_worker.wire import Action, Status
from tests.chaos.contracts import STAKE, TASK, WEIGHT
from tests.chaos.mortal import outside
from tests.chaos.node import Fate
from tests.chaos.world import KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.chaos.node import Tx
    from tests.chaos.world import World

#: More wallets than have to agree on a result.
RIVALS: Final = tuple("0x" + 40 * digit for digit in "345")
#: The contract that a deal names, and what it is told.
RECEIVER: Final = "0x" + 40 * "c"
ANSWER: Final = b"what the contract is told"
_RESULT: Final = commitments.result_hash(TASK, "0x" + 64 * "3")


def plain(world: World) -> None:
    """Everything is as it should be."""


async def nobody(world: World) -> None:
    await trio.lowlevel.checkpoint()


def unpullable(world: World) -> None:
    world.machine.pullable = False


def rival(world: World) -> None:
    """Let others contribute another result: a consensus without us."""
    node, found = world.node, world.desk.found()
    assert found is not None
    task, _ = found
    for wallet in RIVALS:
        if node.contracts.status is not TaskStatus.ACTIVE:
            break
        node.contracts.contribute(wallet, _RESULT, _RESULT, node.at)
        other = task.replicates[wallet] = Replicate(wallet, task.clock)
        for status in (Status.CREATED, Status.CONTRIBUTED):
            other.add(status, by_worker=True)
        other.contribution_hash, other.weight = _RESULT, WEIGHT
    with outside():
        world.nursery.start_soon(world.desk.process.evaluation.evaluate, task)


def rival_while(status: Status, seconds: float) -> Callable[[World], Awaitable[None]]:
    order = [*Status]

    async def act(world: World) -> None:
        def reached() -> bool:
            found = world.desk.found()
            # Or a later one: what a life that was cut did not tell may never be told.
            return bool(found and order.index(found[1].relevant) >= order.index(status))

        await world.desk.scheduler.store.changes.until(reached)
        await trio.sleep(seconds)
        rival(world)

    return act


def poor(world: World) -> None:
    world.node.contracts.deposit = STAKE - 1


def crashing(world: World) -> None:
    world.machine.computed = None


def with_input(world: World) -> None:
    """Have the input that a deal names."""
    world.files = {"/input": b"an input"}


def calling_back(world: World) -> None:
    world.machine.computed = {"callback-data": f"0x{ANSWER.hex()}"}


def beaten(world: World) -> None:
    def fate(label: str, _: Tx) -> Fate:
        rival(world)
        return Fate.MINED

    world.node.fate = fate


def first(call: str, fate: Fate) -> Callable[[World], None]:
    """Let the first transaction with this *call* meet its *fate*."""

    def prepare(world: World) -> None:
        fates = itertools.chain((fate,), itertools.repeat(Fate.MINED))
        world.node.fate = lambda label, _: next(fates) if label == call else Fate.MINED

    return prepare


async def another_worker(world: World) -> None:
    """Have another worker ping: the pool goes on hoping."""
    while True:
        world.desk.process.memory.seen(RIVALS[0])
        await trio.sleep(10)


def refusing(times: float) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.proxy.refusing = times

    return prepare


def forgetful(world: World) -> None:
    """Let the pool know nothing of the replicate as soon as it is told something of it."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        found = world.desk.found()
        if found is not None and request.url.path.endswith("/updateStatus"):
            task, _ = found
            task.replicates.clear()
            task.enter(TaskState.FAILED)
            world.desk.scheduler.store.dismiss(task)
        return None

    world.fault = fault


def away(url: str, status: Status) -> Callable[[World], Awaitable[None]]:
    """Let a service answer nothing useful for a while once a status was told."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(503) if str(request.url).startswith(url) else None

    async def act(world: World) -> None:
        await world.desk.scheduler.replicate_status(TASK, KEY.address, status)
        world.fault = fault
        await trio.sleep(45)
        world.fault = lambda _: None

    return act


async def restarts(world: World) -> None:
    for status in (Status.COMPUTING, Status.CONTRIBUTED, Status.RESULT_UPLOADING):
        await world.desk.scheduler.replicate_status(TASK, KEY.address, status)
        await world.desk.restart()


def mute(world: World) -> None:
    """Lose the first answer to each status; it was heard all the same."""
    heard: set[bytes] = set()

    def lost(request: httpx.Request, body: bytes) -> bool:
        first = request.url.path.endswith("/updateStatus") and body not in heard
        heard.add(body)
        return first

    world.lost = lost


async def strangers(world: World) -> None:
    """Publish what anybody may publish, true or not, again and again."""
    forged = itertools.cycle(
        (Action.PLEASE_REVEAL, Action.PLEASE_ABORT, Action.PLEASE_UPLOAD, Action.PLEASE_COMPLETE)
    )
    for action, block in zip(forged, _blocks(), strict=False):
        await trio.sleep(3)
        message = Message(TASK, action, (), Extra(block_number=block))
        world.desk.scheduler.notifications.publish(message)


def _blocks() -> Iterator[int]:
    return itertools.cycle((0, 10**9, 7))


def deaf(world: World) -> None:
    world.desk.scheduler.notifications.drop()
