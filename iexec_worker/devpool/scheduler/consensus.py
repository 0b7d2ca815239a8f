"""Whether a task needs one more worker, by the contracts' formula of consensus."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from iexec_worker.devpool.scheduler.state import Replicate, Task


def needs_more(task: Task, weights: Mapping[str, int], now: float) -> bool:
    """
    True iff the contributions made, and those that may still come, do not make a consensus.

    *weights* has the weight of every wallet with a replicate. Pending replicates are counted as
    if they would agree with the strongest group.
    """
    groups = _groups(task.replicates.values())
    pending = [weights[r.wallet] for r in task.replicates.values() if is_pending(task, r, now)]
    if not groups and not pending:
        return True
    best = max(groups.values(), default=1)
    others = sum(groups.values()) - (best if groups else 0)
    strongest = best * math.prod(pending)
    # The contracts' `group · trust > total · (trust - 1)`; their total begins at 1.
    return not strongest * task.deal.trust > (1 + strongest + others) * (task.deal.trust - 1)


def is_pending(task: Task, replicate: Replicate, now: float) -> bool:
    """
    True iff a contribution is still expected.

    An aborted replicate counts until one period has passed: nobody else gets the task before.
    """
    return (
        not replicate.ever(Status.CONTRIBUTED)
        and replicate.relevant is not Status.FAILED
        and now - replicate.created_at < task.period
    )


def _groups(replicates: Iterable[Replicate]) -> dict[str, int]:
    groups: dict[str, int] = defaultdict(lambda: 1)
    for replicate in replicates:
        if replicate.ever(Status.CONTRIBUTED):
            groups[replicate.contribution_hash] *= replicate.weight
    return groups
