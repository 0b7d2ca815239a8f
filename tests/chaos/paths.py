"""The paths of a replicate's life: what happens around the worker, and how it ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import httpx
import trio
from attrs import evolve, frozen

from iexec_worker.chain import commitments
from iexec_worker.chain.calls import FINALIZE
from iexec_worker.devpool.broker.notifications import Extra, Message
from iexec_worker.devpool.scheduler.state import Replicate, TaskState
from iexec_worker.model import TaskStatus
from iexec_worker.wire import Action, Status
from tests.chaos.contracts import TASK
from tests.chaos.desk import NODE_URL, URL
from tests.chaos.mortal import outside
from tests.chaos.node import Fate
from tests.chaos.outcome import STANDARD, Outcome
from tests.chaos.world import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.node import Tx
    from tests.chaos.world import World

RIVAL: Final = "0x" + 40 * "3"
_RESULT: Final = commitments.result_hash(TASK, "0x" + 64 * "3")


def told(status: Status) -> Callable[[World], bool]:
    """Return whether the pool has heard *status*."""

    def over(world: World) -> bool:
        found = world.desk.found()
        return found is not None and found[1].ever(status)

    return over


_completed: Final = told(Status.COMPLETED)


def _plain(world: World) -> None:
    """Everything is as it should be."""


async def _nobody(world: World) -> None:
    await trio.lowlevel.checkpoint()


@frozen
class Script:
    """
    One path. *prepare* sets the world up, *act* happens beside the worker.

    *over* says whether pool and worker are done with each other, *end* how that is to be, and
    *within* how many virtual seconds. *trusted*: the task computes in an enclave.
    """

    name: str
    prepare: Callable[[World], None] = _plain
    act: Callable[[World], Awaitable[None]] = _nobody
    over: Callable[[World], bool] = _completed
    end: Outcome = STANDARD
    within: float = 60.0
    trusted: bool = False


def _unpullable(world: World) -> None:
    world.machine.pullable = False


def rival(world: World) -> None:
    """Let another worker contribute another result first: a consensus without us."""
    node, found = world.node, world.desk.found()
    assert found is not None
    task, _ = found
    if node.contracts.status is not TaskStatus.ACTIVE:
        return
    node.contracts.contribute(RIVAL, _RESULT, _RESULT, node.at)
    other = task.replicates[RIVAL] = Replicate(RIVAL, task.clock)
    for status in (Status.CREATED, Status.CONTRIBUTED):
        other.add(status, by_worker=True)
    other.contribution_hash, other.weight = _RESULT, 2
    with outside():
        world.nursery.start_soon(world.desk.process.evaluation.evaluate, task)


def _rival_while(status: Status) -> Callable[[World], Awaitable[None]]:
    async def act(world: World) -> None:
        await world.desk.scheduler.replicate_status(TASK, KEY.address, status)
        await trio.sleep(2)
        rival(world)

    return act


#: Another worker's result is agreed on.
_BEATEN: Final = Outcome(
    TaskState.CONSENSUS_REACHED, Status.ABORTED, TaskStatus.REVEALING, results=b"", sent=()
)


def _aborted(name: str, status: Status) -> Script:
    return Script(name, act=_rival_while(status), over=told(Status.ABORTED), end=_BEATEN)


def _beaten(world: World) -> None:
    def fate(label: str, _: Tx) -> Fate:
        rival(world)
        return Fate.MINED

    world.node.fate = fate


def _first_reveal(first: Fate) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        fates = itertools.chain((first,), itertools.repeat(Fate.MINED))
        world.node.fate = lambda label, _: next(fates) if label == "reveal" else Fate.MINED

    return prepare


def _first_end(first: Fate) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        fates = itertools.chain((first,), itertools.repeat(Fate.MINED))
        world.node.fate = lambda label, _: next(fates) if label == FINALIZE else Fate.MINED

    return prepare


async def _another_worker(world: World) -> None:
    """Have another worker ping: the pool goes on hoping."""
    while True:
        world.desk.process.memory.seen(RIVAL)
        await trio.sleep(10)


#: All that the pool has have failed.
_GIVEN_UP: Final = Outcome(
    TaskState.FAILED, Status.ABORTED, TaskStatus.ACTIVE, results=b"", sent=()
)

#: A trusted task is ended by its worker.
_FINALIZED: Final = Outcome(sent=((FINALIZE, True),))


def _refusing(times: float) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.proxy.refusing = times

    return prepare


def _forgetful(world: World) -> None:
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


def _forgotten(world: World) -> bool:
    return world.desk.scheduler.store.tasks[TASK].state is TaskState.FAILED


def _away(url: str, status: Status) -> Callable[[World], Awaitable[None]]:
    """Let a service answer nothing useful for a while once a status was told."""

    def fault(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(503) if str(request.url).startswith(url) else None

    async def act(world: World) -> None:
        await world.desk.scheduler.replicate_status(TASK, KEY.address, status)
        world.fault = fault
        await trio.sleep(45)
        world.fault = lambda _: None

    return act


async def _restarts(world: World) -> None:
    for status in (Status.COMPUTING, Status.CONTRIBUTED, Status.RESULT_UPLOADING):
        await world.desk.scheduler.replicate_status(TASK, KEY.address, status)
        await world.desk.restart()


def _mute(world: World) -> None:
    """Lose the first answer to each status; it was heard all the same."""
    heard: set[bytes] = set()

    def lost(request: httpx.Request, body: bytes) -> bool:
        first = request.url.path.endswith("/updateStatus") and body not in heard
        heard.add(body)
        return first

    world.lost = lost


async def _strangers(world: World) -> None:
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


def _deaf(world: World) -> None:
    world.desk.scheduler.notifications.drop()


PATHS: Final = (
    Script("standard"),
    Script("error result", prepare=_unpullable),
    _aborted("abort while downloading", Status.APP_DOWNLOADING),
    _aborted("abort while computing", Status.COMPUTING),
    Script(
        "contribute failure",
        prepare=_beaten,
        over=told(Status.ABORTED),
        end=evolve(_BEATEN, sent=(("contribute", False),)),
    ),
    Script("reveal lost", prepare=_first_reveal(Fate.LOST)),
    Script("reveal stuck", prepare=_first_reveal(Fate.STUCK), within=120),
    Script(
        "reveal retry",
        prepare=_first_reveal(Fate.FAILED),
        end=Outcome(sent=(("contribute", True), ("reveal", False), ("reveal", True))),
    ),
    Script("upload retry", prepare=_refusing(2)),
    Script(
        "upload failure",
        prepare=_refusing(math.inf),
        over=told(Status.ABORTED),
        end=Outcome(TaskState.RESULT_UPLOADING, Status.ABORTED, TaskStatus.REVEALING, results=b""),
        within=80,
    ),
    Script(
        "refused by the pool",
        prepare=_forgetful,
        over=_forgotten,
        end=Outcome(TaskState.FAILED, None, TaskStatus.ACTIVE, results=b"", sent=()),
    ),
    Script("answers lost", prepare=_mute),
    Script("pool away", act=_away(URL, Status.COMPUTING), within=130),
    Script("node away", act=_away(NODE_URL, Status.CONTRIBUTING), within=120),
    Script("pool restarts", act=_restarts, within=80),
    Script("strangers publish", act=_strangers),
    Script("notifications lost", prepare=_deaf, within=180),
    Script("trusted", end=_FINALIZED, trusted=True, within=90),
    Script(
        "trusted error result", prepare=_unpullable, act=_another_worker, trusted=True, within=90
    ),
    Script(
        "trusted error of the last",
        prepare=_unpullable,
        over=told(Status.ABORTED),
        end=_GIVEN_UP,
        trusted=True,
    ),
    Script(
        "trusted end lost",
        prepare=_first_end(Fate.LOST),
        end=_FINALIZED,
        trusted=True,
        within=90,
    ),
    Script(
        "trusted end retried",
        prepare=_first_end(Fate.FAILED),
        end=Outcome(sent=(("contributeAndFinalize", False), ("contributeAndFinalize", True))),
        trusted=True,
        within=90,
    ),
    Script("trusted, answers lost", prepare=_mute, end=_FINALIZED, trusted=True, within=90),
    Script("trusted, notifications lost", prepare=_deaf, end=_FINALIZED, trusted=True, within=180),
)
