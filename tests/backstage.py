"""What outlives a test: pytest-trio gives every test a Trio run of its own, this is one for all."""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import trio
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


@frozen
class Held(Generic[T]):
    """The value of a context manager that another task entered and will leave."""

    value: T
    _leave: trio.Event
    _left: trio.Event

    async def release(self) -> None:
        """Have it left, and wait until it is."""
        self._leave.set()
        await self._left.wait()


async def keep(
    manager: AbstractAsyncContextManager[T],
    *,
    task_status: trio.TaskStatus[Held[T]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Enter *manager* in this task, to which its nurseries then belong; started with a `Held`."""
    leave, left = trio.Event(), trio.Event()
    try:
        async with manager as value:
            task_status.started(Held(value, leave, left))
            await leave.wait()
    finally:
        left.set()


@frozen
class Backstage:
    """
    A Trio run in a thread of its own, for fixtures of the whole session.

    What lives there is reached through `run` only: by sync tests, or by async ones in a thread.
    """

    token: trio.lowlevel.TrioToken
    nursery: trio.Nursery

    def run(self, work: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run *work* backstage and wait for it; raises what it raises."""
        return trio.from_thread.run(work, *args, trio_token=self.token)

    @contextmanager
    def hold(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter *manager* backstage, leave it at the end of the block and wait until it is left."""
        held: Held[T] = self.run(self.nursery.start, keep, manager)
        try:
            yield held.value
        finally:
            self.run(held.release)


@contextmanager
def backstage() -> Iterator[Backstage]:
    """Open it; what failed there in the background is raised in the end."""
    opened: queue.SimpleQueue[Backstage] = queue.SimpleQueue()
    failures: list[BaseException] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            opened.put(Backstage(trio.lowlevel.current_trio_token(), nursery))
            await trio.sleep_forever()

    def work() -> None:
        try:
            trio.run(main)
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            failures.append(error)

    thread = threading.Thread(target=work, name="backstage", daemon=True)
    thread.start()
    stage = opened.get(timeout=10)
    try:
        yield stage
    finally:
        if not failures:
            trio.from_thread.run_sync(stage.nursery.cancel_scope.cancel, trio_token=stage.token)
        thread.join()
    if failures:
        raise failures[0]
