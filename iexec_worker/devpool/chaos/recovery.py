"""How long after a `kill -9` a worker tells its next status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iexec_worker.devpool.chaos.post import Life
    from iexec_worker.devpool.chaos.scene import Scene
    from iexec_worker.devpool.http.record import Told

#: After these a worker waits: for its app, for others, for the pool.
_WAITS: Final = frozenset(
    {
        Status.COMPUTING,
        Status.CONTRIBUTED,
        Status.REVEALED,
        Status.RESULT_UPLOADED,
        Status.COMPLETED,
        Status.ABORTED,
    }
)


def recoveries(scene: Scene) -> tuple[float, ...]:
    """
    Seconds from each kill to the next status of a task that had something to tell, sorted.

    Other faults may have been in the way: what counts is where most are.
    """
    told = scene.pool.record.told
    seconds = (s for post in scene.posts for s in of_worker(post.lives, post.wallet.address, told))
    return tuple(sorted(seconds))


def of_worker(lives: Sequence[Life], wallet: str, told: Sequence[Told]) -> Iterator[float]:
    """Those of one worker."""
    own = [one for one in told if one.wallet == wallet]
    for life in lives:
        if life.ordered != "SIGKILL":
            continue
        last = {one.chain_task_id: one.status for one in own if one.at <= life.ended}
        busy = {task_id for task_id, status in last.items() if status not in _WAITS}
        after = (one.at for one in own if one.at > life.ended and one.chain_task_id in busy)
        following = min(after, default=None)
        if following is not None:
            yield following - life.ended
