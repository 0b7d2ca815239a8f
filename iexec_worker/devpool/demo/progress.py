"""What happens now: the pool's state of every task, and what each worker does about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import trio
from attrs import frozen

from iexec_worker.devpool.scheduler.state import ENDED
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iexec_worker.devpool.demo.scene import Scene
    from iexec_worker.devpool.scheduler.state import Replicate, Task
    from iexec_worker.devpool.worker_process import WorkerProcess

#: Five pictures a second look alive; each costs a worker one small answer.
_PERIOD: Final = 0.2

#: Seconds in which a worker has taken away what a task left.
_TIDY: Final = 3.0

_LOUD: Final = re.compile(r"^\S+ (warning|error|critical)\b")

_GIVEN_UP: Final = frozenset({Status.FAILED, Status.ABORTED})

Tree = dict[str, Any]


@frozen
class Step:
    """What one worker does about one task: *status* as told to the pool, *doing* in words."""

    worker: str
    status: str
    doing: str


@frozen
class TaskView:
    """One task; *state* is the pool's word for it."""

    number: int
    task_id: str
    state: str
    steps: tuple[Step, ...]


@frozen
class View:
    """One picture: all tasks, and what each worker as a whole is doing."""

    tasks: tuple[TaskView, ...]
    workers: Mapping[str, str]


async def follow(scene: Scene, task_ids: Sequence[str], show: Callable[[View], None]) -> str:
    """
    Show a picture of the tasks again and again until nothing moves any more.

    Returns why some of them will never end, "" when all of them have ended.
    """
    while True:
        show(await _look(scene, task_ids))
        tasks = [scene.pool.scheduler.store.tasks.get(task_id) for task_id in task_ids]
        if all(task is not None and task.state in ENDED for task in tasks):
            await _settle(scene, task_ids, show)
            return ""
        for stuck in (_dead(scene), _given_up(scene, tasks)):
            if stuck:
                return stuck
        await trio.sleep(_PERIOD)


async def _settle(scene: Scene, task_ids: Sequence[str], show: Callable[[View], None]) -> None:
    """Show how the workers tidy up; whether they do decides nothing."""
    over = {*_GIVEN_UP, Status.COMPLETED}
    with trio.move_on_after(_TIDY):
        while True:
            view = await _look(scene, task_ids)
            show(view)
            if all(step.status in over for task in view.tasks for step in task.steps):
                return
            await trio.sleep(_PERIOD)


async def _look(scene: Scene, task_ids: Sequence[str]) -> View:
    trees: dict[str, Tree] = {}

    async def ask(worker: WorkerProcess) -> None:
        trees[worker.name] = await worker.supervision() or {}

    async with trio.open_nursery() as nursery:
        for member in scene.members:
            nursery.start_soon(ask, member.process)
    store = scene.pool.scheduler.store
    tasks = tuple(
        _task(number, task_id, store.tasks.get(task_id), _names(scene), trees)
        for number, task_id in enumerate(task_ids)
    )
    return View(tasks, {name: _errand(trees[name]) for name in trees})


def _task(
    number: int,
    task_id: str,
    task: Task | None,
    names: Mapping[str, str],
    trees: Mapping[str, Tree],
) -> TaskView:
    if task is None:
        return TaskView(number, task_id, "DEAL", ())
    steps = tuple(
        _step(names[wallet], replicate, trees, task_id)
        for wallet, replicate in task.replicates.items()
        # The pool is open to others too, but only the demo's own are watched.
        if wallet in names
    )
    return TaskView(number, task_id, task.state, steps)


def _step(worker: str, replicate: Replicate, trees: Mapping[str, Tree], task_id: str) -> Step:
    nodes = (node for node in walk(trees.get(worker, {})) if node.get("name") == task_id)
    doing = next((str(node.get("doing", "")) for node in nodes), "")
    return Step(worker, replicate.relevant, doing)


def _errand(tree: Tree) -> str:
    """What a worker says where it looks for work; before that, where it joins the pool."""
    said = {str(node.get("name")): str(node.get("doing", "")) for node in walk(tree)}
    return next((said[name] for name in ("intake", "session", "member") if said.get(name)), "")


def walk(tree: Tree) -> Iterator[Tree]:
    """Every node of a worker's tree, parents first."""
    yield tree
    for child in tree.get("children", ()):
        yield from walk(child)


def _names(scene: Scene) -> dict[str, str]:
    return {member.wallet: member.process.name for member in scene.members}


def _dead(scene: Scene) -> str:
    """Say which worker is no more: it was not told to end."""
    return "; ".join(
        f"{worker.name} ended with status {worker.ended}: {worker.child.tail()}"
        for worker in (member.process for member in scene.members)
        if worker.ended is not None
    )


def _given_up(scene: Scene, tasks: Sequence[Task | None]) -> str:
    """Say which tasks every worker has given up; the pool waits for others until the deadline."""
    everybody = len(scene.members)
    return "; ".join(
        f"every worker has given up task {task.index}"
        for task in tasks
        if task is not None
        and task.state not in ENDED
        and len(task.replicates) >= everybody
        and all(r.relevant in _GIVEN_UP for r in task.replicates.values())
    )


def blame(scene: Scene, task_id: str) -> str:
    """What workers told as the cause of a failure, in one line; "" when nothing failed."""
    names = _names(scene)
    told = [
        f"{names.get(told.wallet, told.wallet)} told {told.status}"
        + (f" ({told.cause})" if told.cause else "")
        for told in scene.pool.record.updates(task_id)
        if told.accepted and (told.status.endswith("_FAILED") or told.status is Status.FAILED)
    ]
    return ", ".join(told)


def complaints(scene: Scene, task_id: str) -> list[str]:
    """What workers logged about a task as a warning or worse, line by line."""
    found = []
    for process in (member.process for member in scene.members):
        lines = process.child.log.read_text(errors="replace").splitlines()
        wanted = (line for line in lines if task_id in line and _LOUD.search(line))
        found += [f"{process.name}: {line}" for line in wanted]
    return found
