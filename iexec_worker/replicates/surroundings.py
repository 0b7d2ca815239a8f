"""What the replicates of a worker have around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.chain.hub import Hub
    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.replicates.credibility import Credibility
    from iexec_worker.replicates.journal import Journal
    from iexec_worker.replicates.slots import Slots
    from iexec_worker.replicates.steps import Steps
    from iexec_worker.scheduler.subscriptions import Subscriptions
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.post_compute import PostCompute
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Task


@frozen
class Surroundings:
    """What every replicate of a worker shares."""

    steps: Steps
    credibility: Credibility
    conditions: Conditions
    hub: Hub
    blocks: BlockWatch
    subscriptions: Subscriptions
    sending: Sending
    journal: Journal
    slots: Slots
    post_compute: PostCompute
    discard: Callable[[Task], Awaitable[None]]
    now: Callable[[], float]
