"""The end of it all, within bounds."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@asynccontextmanager
async def ends_in_time(
    root: Node, seconds: float, give_up: Callable[[], None]
) -> AsyncIterator[trio.Nursery]:
    """
    Open a nursery for services; leaving the block cancels them.

    Cancelled so or otherwise, or when one of them failed, they have *seconds* to end, the inner
    parts before those that enclose them. What has not ended then is named in the log, and
    *give_up* is called: a task cannot be left behind, only the process can.
    """
    ending = trio.Event()
    async with (
        ends_within(root, seconds, give_up, since=ending),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_notice, ending)
        yield nursery
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def ends_within(
    root: Node, seconds: float, give_up: Callable[[], None], *, since: trio.Event
) -> AsyncIterator[None]:
    """Give the block *seconds* to end once *since* is set, as `ends_in_time` does."""
    async with trio.open_nursery() as nursery:
        watch = trio.CancelScope(shield=True)
        nursery.start_soon(_watch, watch, since, root, seconds, give_up)
        try:
            yield
        finally:
            watch.cancel()


async def _notice(ending: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        ending.set()


async def _watch(
    scope: trio.CancelScope,
    ending: trio.Event,
    root: Node,
    seconds: float,
    give_up: Callable[[], None],
) -> None:
    with scope:
        await ending.wait()
        await trio.sleep(seconds)
        log.critical(
            "some parts do not end: giving the process up", parts=_alive(root), after=seconds
        )
        give_up()


def _alive(root: Node) -> list[str]:
    """Paths of the supervised parts that are still alive, innermost only: they hold the others."""
    alive = [path for path, node in root.walk() if node.interruptible]
    return [path for path in alive if not any(other.startswith(f"{path}/") for other in alive)]
