"""The paths of a replicate's life: what happens around the worker, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from iexec_worker.chain.calls import Kind
from iexec_worker.devpool.scheduler.state import TaskState
from iexec_worker.model import TaskStatus
from iexec_worker.results.link import ethereum_link
from iexec_worker.wire import Cause, Status
from tests.chaos import contracts, troubles
from tests.chaos.contracts import INPUT_PARAMS, TASK, Deal
from tests.chaos.desk import NODE_URL, URL
from tests.chaos.node import Fate
from tests.chaos.outcome import STANDARD, Outcome
from tests.samples import SCONE

if TYPE_CHECKING:
    from tests.chaos.world import World


def told(status: Status) -> Callable[[World], bool]:
    """Return whether the pool has heard *status*."""

    def over(world: World) -> bool:
        found = world.desk.found()
        return found is not None and found[1].ever(status)

    return over


def failed(status: Status, cause: Cause, last: Status) -> Callable[[World], bool]:
    """Return whether the pool has heard of a failure and its cause, and of the end."""

    def over(world: World) -> bool:
        found = world.desk.found()
        heard = (
            [(c.status, c.details.cause) for c in found[1].history if c.details] if found else []
        )
        return (status, cause) in heard and told(last)(world)

    return over


_completed: Final = told(Status.COMPLETED)


@frozen
class Script:
    """
    One path. *prepare* sets the world up, *act* happens beside the worker.

    *over* says whether pool and worker are done with each other, *end* how that is to be, and
    *within* how many virtual seconds. *deal*: what the task is asked to be.
    """

    name: str
    prepare: Callable[[World], None] = troubles.plain
    act: Callable[[World], Awaitable[None]] = troubles.nobody
    over: Callable[[World], bool] = _completed
    end: Outcome = STANDARD
    within: float = 60.0
    deal: Deal = contracts.STANDARD


#: Another worker's result is agreed on.
_BEATEN: Final = Outcome(
    TaskState.CONSENSUS_REACHED, Status.ABORTED, TaskStatus.REVEALING, results=b"", sent=()
)


def _aborted(
    name: str,
    status: Status,
    prepare: Callable[[World], None] = troubles.plain,
    *,
    deal: Deal = contracts.STANDARD,
    seconds: float = 2.0,
    end: Outcome = _BEATEN,
) -> Script:
    """Return the path of a task whose pool aborts it *seconds* after it has heard *status*."""
    act = troubles.rival_while(status, seconds)
    return Script(name, prepare, act, over=told(Status.ABORTED), end=end, deal=deal)


_WITH_INPUT: Final = Deal(params=INPUT_PARAMS)

#: Nothing was contributed, by anybody.
_GIVEN_UP: Final = Outcome(TaskState.RUNNING, Status.ABORTED, TaskStatus.ACTIVE, b"", ())

#: A trusted task is ended by its worker.
_TRUSTED: Final = Script(
    "trusted",
    deal=evolve(_WITH_INPUT, tag=SCONE),
    end=Outcome(sent=((Kind.FINALIZE, True),)),
    within=90,
)


def _forgotten(world: World) -> bool:
    return world.desk.scheduler.store.tasks[TASK].state is TaskState.FAILED


PATHS: Final = (
    Script("standard"),
    Script(
        "error result",
        prepare=troubles.unpullable,
        over=failed(Status.APP_DOWNLOAD_FAILED, Cause.APP_IMAGE_DOWNLOAD_FAILED, Status.COMPLETED),
    ),
    Script(
        "input missing",
        deal=_WITH_INPUT,
        over=failed(
            Status.DATA_DOWNLOAD_FAILED, Cause.INPUT_FILES_DOWNLOAD_FAILED, Status.COMPLETED
        ),
    ),
    Script(
        "start failure",
        prepare=troubles.poor,
        over=failed(Status.START_FAILED, Cause.STAKE_TOO_LOW, Status.ABORTED),
        end=evolve(_GIVEN_UP, task=TaskState.INITIALIZED),
    ),
    Script(
        "app failure",
        prepare=troubles.crashing,
        over=failed(Status.COMPUTE_FAILED, Cause.APP_COMPUTE_FAILED, Status.ABORTED),
        end=_GIVEN_UP,
    ),
    Script(
        "callback",
        deal=Deal(callback=troubles.RECEIVER),
        prepare=troubles.calling_back,
        end=Outcome(results=ethereum_link(troubles.RECEIVER).encode(), received=troubles.ANSWER),
    ),
    _aborted("abort while starting", Status.STARTING, seconds=0),
    _aborted("abort while downloading", Status.APP_DOWNLOADING),
    _aborted(
        "abort while downloading data",
        Status.DATA_DOWNLOADING,
        troubles.with_input,
        deal=_WITH_INPUT,
    ),
    _aborted("abort while computing", Status.COMPUTING),
    _aborted(
        "abort when contributed",
        Status.CONTRIBUTED,
        deal=Deal(trust=3),
        end=evolve(_BEATEN, sent=(("contribute", True),)),
    ),
    Script(
        "contribute failure",
        prepare=troubles.beaten,
        over=told(Status.ABORTED),
        end=evolve(_BEATEN, sent=(("contribute", False),)),
    ),
    Script("reveal lost", prepare=troubles.first("reveal", Fate.LOST)),
    Script("reveal stuck", prepare=troubles.first("reveal", Fate.STUCK), within=120),
    Script(
        "reveal retry",
        prepare=troubles.first("reveal", Fate.FAILED),
        end=Outcome(sent=(("contribute", True), ("reveal", False), ("reveal", True))),
    ),
    Script("upload retry", prepare=troubles.refusing(2)),
    Script(
        "upload failure",
        prepare=troubles.refusing(math.inf),
        over=told(Status.ABORTED),
        end=Outcome(TaskState.RESULT_UPLOADING, Status.ABORTED, TaskStatus.REVEALING, results=b""),
        within=80,
    ),
    Script(
        "refused by the pool",
        prepare=troubles.forgetful,
        over=_forgotten,
        end=Outcome(TaskState.FAILED, None, TaskStatus.ACTIVE, results=b"", sent=()),
    ),
    Script("answers lost", prepare=troubles.mute),
    Script("pool away", act=troubles.away(URL, Status.COMPUTING), within=130),
    Script("node away", act=troubles.away(NODE_URL, Status.CONTRIBUTING), within=120),
    # What it publishes while nobody listens is waited for: half a minute after each restart.
    Script("pool restarts", act=troubles.restarts, within=150),
    Script("strangers publish", act=troubles.strangers),
    Script("notifications lost", prepare=troubles.deaf, within=180),
    _TRUSTED,
    evolve(
        _TRUSTED,
        name="trusted error result",
        prepare=troubles.unpullable,
        act=troubles.another_worker,
        end=STANDARD,
    ),
    evolve(
        _TRUSTED,
        name="trusted error of the last",
        prepare=troubles.unpullable,
        over=told(Status.ABORTED),
        end=evolve(_GIVEN_UP, task=TaskState.FAILED),
        within=60,
    ),
    evolve(_TRUSTED, name="trusted end lost", prepare=troubles.first(Kind.FINALIZE, Fate.LOST)),
    evolve(
        _TRUSTED,
        name="trusted end retried",
        prepare=troubles.first(Kind.FINALIZE, Fate.FAILED),
        end=Outcome(sent=((Kind.FINALIZE, False), (Kind.FINALIZE, True))),
    ),
    evolve(_TRUSTED, name="trusted, answers lost", prepare=troubles.mute),
    evolve(_TRUSTED, name="trusted, notifications lost", prepare=troubles.deaf, within=180),
)
