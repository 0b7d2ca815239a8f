"""A whole run: tasks and faults side by side, then peace, then the verdict."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define, field

from iexec_worker.devpool.chaos.evidence import collect
from iexec_worker.devpool.chaos.invariants import breaches
from iexec_worker.devpool.chaos.kinds import KINDS, possible
from iexec_worker.devpool.chaos.orders import PERIOD, Order, buy, make_orders
from iexec_worker.devpool.chaos.plan import Injection, make_plan
from iexec_worker.devpool.chaos.scene import open_scene
from iexec_worker.devpool.chaos.verdict import Verdict, keep
from iexec_worker.devpool.scheduler.state import ENDED, OPEN
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.devpool.chaos.options import ChaosOptions
    from iexec_worker.devpool.chaos.post import Post
    from iexec_worker.devpool.chaos.scene import Scene

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds for what has begun to end: a worker's place is free after one period, and its
#: successor may be one that has to be hired first.
_SETTLE: Final = 4.0 * PERIOD

_LOOK_EVERY: Final = 0.5

_OVER: Final = frozenset({Status.COMPLETED, Status.ABORTED, Status.FAILED})


async def run(options: ChaosOptions, say: Callable[[str], None]) -> Verdict:
    """Do it; *say* is told what is being done. Raises Fatal when the scene does not come up."""
    async with open_scene(options, say) as scene:
        chaos = Chaos(scene, say)
        await chaos.rage()
        await chaos.settle()
        return await chaos.judge()


@define(eq=False)
class Chaos:
    """What was bought and what has struck so far."""

    scene: Scene
    say: Callable[[str], None]
    bought: dict[str, Order] = field(factory=dict, init=False)
    struck: Counter[str] = field(factory=Counter, init=False)

    async def rage(self) -> None:
        """Buy tasks and let faults strike; returns when all is bought and every fault over."""
        options = self.scene.options
        orders = make_orders(options)
        plan = make_plan(
            options.seed,
            weights=possible(options.kinds, root=options.root),
            count=options.faults,
            duration=options.duration,
            workers=options.workers,
        )
        self.say(f"seed {options.seed}: {len(plan)} faults, {len(orders)} tasks")
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy, self.scene, orders, self.bought)
            for injection in plan:
                nursery.start_soon(self._strike, injection, began)

    async def _strike(self, injection: Injection, began: float) -> None:
        await trio.sleep_until(began + injection.at)
        log.info("fault", kind=injection.kind, worker=injection.worker, pick=injection.pick)
        await KINDS[injection.kind].strike(self.scene, injection)
        self.struck[injection.kind] += 1

    async def settle(self) -> None:
        """Wait, within limits, until nothing moves any more; hire workers that tasks need."""
        self.say("faults are over; what has begun ends")
        with trio.move_on_after(_SETTLE):
            while not self._settled():
                if self._short_of_workers():
                    post = await self.scene.hire()
                    self.say(f"{post.name} helps out: all others have had a task that is open")
                await trio.sleep(_LOOK_EVERY)

    def _settled(self) -> bool:
        tasks = [self.scene.pool.scheduler.store.tasks.get(task_id) for task_id in self.bought]
        return all(
            task is not None
            and task.state in ENDED
            and all(replicate.relevant in _OVER for replicate in task.replicates.values())
            for task in tasks
        )

    def _short_of_workers(self) -> bool:
        """True iff there is a task that nobody computes and that every worker has given up."""
        wallets = {post.wallet.address for post in self.scene.posts}
        return any(
            task.state in OPEN
            and wallets <= task.replicates.keys()
            and all(r.relevant in _OVER | {Status.CONTRIBUTED} for r in task.replicates.values())
            for task in self.scene.pool.scheduler.store.tasks.values()
        )

    async def judge(self) -> Verdict:
        """Drain the workers, look at everything, and keep what explains a breach."""
        scene = self.scene
        self.say("draining the workers")
        drained: dict[str, bool] = {}
        async with trio.open_nursery() as nursery:
            for post in scene.posts:
                nursery.start_soon(_drain, post, drained)
        self.say("looking at chain, engine, disks and logs")
        evidence = await collect(scene, self.bought, drained)
        verdict = Verdict(
            options=scene.options,
            struck=self.struck,
            evidence=evidence,
            lives={post.name: tuple(post.lives) for post in scene.posts},
            breaches=tuple(breaches(evidence)),
        )
        if verdict.breaches:
            await keep(scene, verdict)
        return verdict


async def _drain(post: Post, drained: dict[str, bool]) -> None:
    drained[post.name] = await post.leave()
