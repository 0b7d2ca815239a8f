"""One service under its policy."""

from __future__ import annotations

import math
from typing import Any, NoReturn, Protocol

import structlog
import trio
from attrs import define

from iexec_worker.errors import WorkerError
from iexec_worker.supervise.failures import (
    Escalated,
    Failures,
    Interrupted,
    ServiceReturnedError,
    describe,
    holds,
    only_holds,
)
from iexec_worker.supervise.policy import Policy, Restart
from iexec_worker.telemetry.tree import Node, State

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Service(Protocol):
    """What can be supervised."""

    async def __call__(self, *, task_status: trio.TaskStatus[Any]) -> None: ...


async def supervise(
    service: Service,
    node: Node,
    policy: Policy = Policy(),  # noqa: B008 - frozen
    *,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """
    Run *service* and start it again as *policy* says; *node* shows what happens.

    Passes the first run's `started` on. Raises errors that the policy lets through (`Fatal`), and
    `Escalated` when the intensity is exceeded. Cancellation ends it like any other code.
    """
    supervisor = _Supervisor(node, policy, Failures(policy.intensity), task_status)
    try:
        while not await supervisor.live(service):
            await supervisor.pause()
    finally:
        node.doing = ""
        _enter(node, State.STOPPED)


@define
class _Supervisor:
    """The lives of one service, one after the other. For each it is what `started` is called on."""

    node: Node
    policy: Policy
    failures: Failures
    #: Whoever waits for the first `started`; nobody afterwards.
    waiting: trio.TaskStatus[Any] | None
    ready_since: float = math.inf

    async def live(self, service: Service) -> bool:
        """Run *service* once; True when that was its last life. Raises what is for the parent."""
        _enter(self.node, State.STARTING)
        self.ready_since = math.inf
        try:
            await self._run(service)
        except Exception as error:  # noqa: BLE001 - of failures it lives; what is not borne is raised
            self._judge(error)
            return self.policy.restart is Restart.TEMPORARY
        except BaseExceptionGroup as group:
            self._leave(group)
        return True

    def started(self, value: Any = None) -> None:  # noqa: ANN401 - Trio's own signature
        """Show that the service is ready; pass it on the first time only."""
        self.ready_since = trio.current_time()
        _enter(self.node, State.RUNNING)
        if self.waiting is not None:
            self.waiting.started(value)
            self.waiting = None

    async def pause(self) -> None:
        """Wait before the next life."""
        seconds = self.policy.backoff.delay(self.failures.in_a_row)
        _enter(self.node, State.BACKOFF)
        self.node.doing = f"starting again in {seconds:.1f} s after: {self.node.last_error}"
        await trio.sleep(seconds)
        self.node.restarts += 1
        self.node.doing = ""

    async def _run(self, service: Service) -> None:
        with trio.CancelScope() as scope, self.node.living(scope):
            await service(task_status=self)
        if scope.cancelled_caught:
            raise Interrupted("interrupted")
        if self.policy.restart is Restart.PERMANENT:
            raise ServiceReturnedError(f"{self.node.name} returned although nobody cancelled it")

    def _leave(self, group: BaseExceptionGroup[BaseException]) -> NoReturn:
        """Raise what is left of a failure at the moment of a cancellation: the cancellation."""
        cancelled, failures = group.split(trio.Cancelled)
        if not isinstance(failures, ExceptionGroup) or holds(failures, self.policy.through):
            raise group
        _record(self.node, failures)
        raise cancelled or group

    def _judge(self, error: Exception) -> None:
        """Write *error* down; raise it, or `Escalated`, when it is the parent's."""
        now = trio.current_time()
        counts = not only_holds(error, self.policy.borne)
        too_many = self.failures.add(now, now - self.ready_since, counts=counts)
        _record(self.node, error)
        if holds(error, self.policy.through):
            raise error
        if too_many and self.policy.restart is not Restart.TEMPORARY:
            raise Escalated(
                f"{self.node.name} failed {self.failures.counted} times within "
                f"{self.policy.intensity.period:g} s; the last time: {self.node.last_error}"
            ) from error


def _enter(node: Node, state: State) -> None:
    """Change the state where people look: the tree and the log."""
    node.enter(state)
    # A part that fails is a warning of its own; that it is there, or back, is news.
    level = log.info if state is State.RUNNING else log.debug
    level("state", part=node.name, state=state.value, restarts=node.restarts)


def _record(node: Node, error: Exception) -> None:
    """Write a failure where people look: the tree and the log."""
    node.last_error = describe(error)
    expected = only_holds(error, (WorkerError,))
    level = log.warning if expected else log.error
    # The traceback is for bugs only: a scheduler that is away is no reason for forty lines.
    level("failed", part=node.name, reason=node.last_error, exc_info=None if expected else error)
