"""The kinds of faults, and what each does to a running scene."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.devpool.chaos import processes
from iexec_worker.devpool.chaos.disk import fill
from iexec_worker.devpool.chaos.proxy import Plan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from iexec_worker.devpool.chaos.plan import Injection
    from iexec_worker.devpool.chaos.post import Post
    from iexec_worker.devpool.chaos.proxy import Proxy
    from iexec_worker.devpool.chaos.scene import Scene

#: A worker that is killed is not killed again before its successor has had this many seconds.
_GRACE: Final = 3.0

_CLEAR: Final = Plan()


@frozen
class Kind:
    """
    One kind of fault; *weight*: how often it comes, beside the others.

    *root*: it takes what only root has, an engine of one's own or a disk.
    """

    weight: int
    strike: Callable[[Scene, Injection], Awaitable[None]]
    root: bool = False


def _post(scene: Scene, injection: Injection) -> Post:
    return scene.posts[injection.worker]


def _line(scene: Scene, injection: Injection) -> Proxy:
    """One of the worker's connections to others, or that of all to the result proxy."""
    lines = [*_post(scene, injection).lines, scene.results]
    return lines[int(injection.pick * len(lines))]


async def _cancel(scene: Scene, injection: Injection) -> None:
    await _post(scene, injection).interrupt(injection.pick)


async def _end(scene: Scene, injection: Injection, number: signal.Signals) -> None:
    post = _post(scene, injection)
    async with post.turn:
        await post.end(number)
        await post.worker()
        await trio.sleep(_GRACE)


async def _kill(scene: Scene, injection: Injection) -> None:
    await _end(scene, injection, signal.SIGKILL)


async def _kill_twice(scene: Scene, injection: Injection) -> None:
    """Kill the successor, too, while it finds out what was going on."""
    post = _post(scene, injection)
    async with post.turn:
        await post.end(signal.SIGKILL)
        await post.worker()
        await trio.sleep(injection.between(0, 1))
        await post.end(signal.SIGKILL)
        await post.worker()
        await trio.sleep(_GRACE)


async def _terminate(scene: Scene, injection: Injection) -> None:
    await _end(scene, injection, signal.SIGTERM)


async def _reset(scene: Scene, injection: Injection) -> None:
    await trio.lowlevel.checkpoint()
    _line(scene, injection).reset_all()


async def _cut(scene: Scene, injection: Injection) -> None:
    await trio.lowlevel.checkpoint()
    _line(scene, injection).cut_all(slowly=injection.strength < 0.5)


async def _disturb(scene: Scene, injection: Injection, plan: Plan) -> None:
    line = _line(scene, injection)
    line.set(plan)
    try:
        if plan.refuse:
            line.reset_all()
        await trio.sleep(injection.between(1, 8))
    finally:
        line.set(_CLEAR)


async def _delay(scene: Scene, injection: Injection) -> None:
    await _disturb(scene, injection, Plan(latency=injection.between(0.1, 2.0)))


async def _throttle(scene: Scene, injection: Injection) -> None:
    await _disturb(scene, injection, Plan(bandwidth=int(injection.between(1_000, 30_000))))


async def _blackhole(scene: Scene, injection: Injection) -> None:
    await _disturb(scene, injection, Plan(blackhole=True))


async def _refuse(scene: Scene, injection: Injection) -> None:
    await _disturb(scene, injection, Plan(refuse=True))


async def _freeze(process: trio.Process, seconds: float) -> None:
    with processes.frozen(process.pid):
        await trio.sleep(seconds)


async def _freeze_engine(scene: Scene, injection: Injection) -> None:
    daemon = scene.engine.daemon
    assert daemon is not None, "only with an engine of our own"
    async with scene.engine.turn:
        await _freeze(daemon.process, injection.between(1, 12))


async def _restart_engine(scene: Scene, injection: Injection) -> None:
    number = signal.SIGKILL if injection.pick < 0.5 else signal.SIGTERM
    daemon = scene.engine.daemon
    assert daemon is not None, "only with an engine of our own"
    async with scene.engine.turn:
        await daemon.restart(number)
        await trio.sleep(_GRACE)


async def _freeze_node(scene: Scene, injection: Injection) -> None:
    async with scene.node.turn:
        await _freeze(scene.node.process, injection.between(1, 10))


async def _restart_node(scene: Scene, _: Injection) -> None:
    async with scene.node.turn:
        await scene.node.restart()


async def _restart_scheduler(scene: Scene, injection: Injection) -> None:
    async with scene.scheduler_turn:
        front = scene.pool.services.scheduler.front
        async with front.offline():
            await scene.pool.scheduler.restart()
            await trio.sleep(injection.between(0, 8))


async def _fill_disk(scene: Scene, injection: Injection) -> None:
    post = _post(scene, injection)
    async with post.disk_turn:
        await fill(post.base, injection.between(2, 8))


#: By name. Weights are such that most faults hit one worker, and few stop all of them.
KINDS: Final[Mapping[str, Kind]] = {
    "cancel": Kind(30, _cancel),
    "reset": Kind(8, _reset),
    "cut": Kind(6, _cut),
    "delay": Kind(6, _delay),
    "throttle": Kind(5, _throttle),
    "blackhole": Kind(6, _blackhole),
    "refuse": Kind(5, _refuse),
    "kill": Kind(7, _kill),
    "kill-twice": Kind(2, _kill_twice),
    "terminate": Kind(4, _terminate),
    "freeze-engine": Kind(3, _freeze_engine, root=True),
    "restart-engine": Kind(2, _restart_engine, root=True),
    "freeze-node": Kind(4, _freeze_node),
    "restart-node": Kind(2, _restart_node),
    "restart-scheduler": Kind(4, _restart_scheduler),
    "fill-disk": Kind(4, _fill_disk, root=True),
}


def possible(kinds: frozenset[str], *, root: bool) -> dict[str, int]:
    """The weights of those of *kinds*, of all without any, that can be had with or without root."""
    return {
        name: kind.weight
        for name, kind in KINDS.items()
        if (not kinds or name in kinds) and (root or not kind.root)
    }
