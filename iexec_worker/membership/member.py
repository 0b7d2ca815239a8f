"""What a membership is made of, bound once by the composition root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.engine.images.cache import ImageCache
    from iexec_worker.janitor.leftovers import Leftovers
    from iexec_worker.membership.ending import Ending
    from iexec_worker.membership.join import Terms
    from iexec_worker.membership.obstacles import Obstacles
    from iexec_worker.model import WorkerModel
    from iexec_worker.replicates.surroundings import Surroundings
    from iexec_worker.scheduler.link import Link
    from iexec_worker.scheduler.session import Session


@frozen
class Member:
    """
    *terms* are what all the rest was built for; *lost_after* is in missed pings.

    *observe_ping* is told the seconds that a ping took.
    """

    terms: Terms
    ask_terms: Callable[[], Awaitable[Terms]]
    session: Session
    link: Link
    model: WorkerModel
    around: Surroundings
    obstacles: Obstacles
    leftovers: Leftovers
    images: ImageCache
    lost_after: int
    ending: Ending
    observe_ping: Callable[[float], None]
