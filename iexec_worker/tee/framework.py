"""What a framework is to the stages: they know none by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from iexec_worker.tee.model import TeeSession

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.engine.spec import ContainerSpec
    from iexec_worker.model import TaskDescription
    from iexec_worker.tee.model import Part, TeeState
    from iexec_worker.tee.sms import Sms

OpenSession = Callable[[], Awaitable[TeeSession]]
"""Hands our secrets to the SMS and opens a session; raises `StageFailed`, and what passes."""


class Framework(Protocol):
    """One way to run an app in an enclave."""

    async def prepare(
        self,
        task: TaskDescription,
        sms: Sms,
        folder: Path,
        open_session: OpenSession,
        show: Callable[[str], None],
    ) -> TeeState:
        """
        Find out what *task* needs, in the order in which it has causes, and get it.

        *folder* is the task's own. *show* is told what is going on. Raises `StageFailed` with its
        cause, and `Unavailable` when the engine is away; an SMS that stays away is a cause.
        """

    async def container(self, spec: ContainerSpec, part: Part, state: TeeState) -> ContainerSpec:
        """
        Return *spec*, of the container *part*, with all that the framework adds to it.

        Raises `StageFailed` when what all enclaves share does not run, and `Unavailable`.
        """
