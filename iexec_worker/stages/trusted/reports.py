"""What pre- and post-compute of a trusted task tell the worker: why they failed, and the result."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog
import trio
from attrs import define

from iexec_worker.errors import Rejected, Transient
from iexec_worker.model import TaskStatus
from iexec_worker.results.reported import is_signed
from iexec_worker.tee.model import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.chain.node.blocks import BlockWatch
    from iexec_worker.model import Authorization, ComputedFile
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Record, Task
    from iexec_worker.wire import Cause

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Keys of the record's *exit_causes*.
KEYS: Final[Mapping[Part, str]] = MappingProxyType({Part.PRE: "pre", Part.POST: "post"})

#: Seconds that a caller waits while the chain does not answer; what it is told then is final.
PATIENCE: Final = 20.0

#: Seconds between two looks where no block comes.
_LOOK: Final = 1.0


@define(eq=False)
class Reports:
    """
    Takes what is told about *task*; what is taken is on disk when a call returns.

    Who may tell it, and what it has to look like, is for whoever calls.
    """

    task: Task
    conditions: Conditions
    blocks: BlockWatch

    @property
    def authorization(self) -> Authorization:
        """The pool's permission: its enclave challenge is whom reports have to come from."""
        return self.task.authorization

    async def exit(self, part: Part, causes: tuple[Cause, ...]) -> bool:
        """Take why *part* fails; False when that was told before."""
        record, key = self.task.record, KEYS[part]
        if key in record.exit_causes:
            return False
        record.exit_causes[key] = list(causes)
        log.warning("failure reported", task=self.task.id, part=part.value, causes=list(causes))
        await self.task.save()
        return True

    async def computed(self, file: ComputedFile) -> bool:
        """Take the result; False unless it is the first, of a task that still wants one."""
        if not is_signed(file) or self._has_one() or not await self._is_wanted():
            return False
        # Another may have come while the chain was asked.
        if self._has_one():
            return False
        self.task.record.computed = file
        log.info("result reported", task=self.task.id, digest=file.result_digest)
        await self.task.save()
        return True

    def _has_one(self) -> bool:
        return self.task.record.computed is not None

    async def _is_wanted(self) -> bool:
        """True iff it is a trusted task, and ACTIVE on-chain; False, too, if nobody can say."""
        with trio.move_on_after(PATIENCE):
            while True:
                if self.task.known:
                    try:
                        onchain = (await self.conditions.standing(self.task)).task
                    except (Transient, Rejected) as error:
                        log.debug("the chain is asked again", task=self.task.id, reason=str(error))
                    else:
                        trusted = self.task.description.tee_framework is not None
                        return trusted and onchain.status is TaskStatus.ACTIVE
                await self.blocks.pause(_LOOK)
        log.warning("a result comes while the chain does not answer", task=self.task.id)
        return False


def reported(record: Record, part: Part) -> list[Cause]:
    """Return what *part* has said of its failure; empty when nothing."""
    return record.exit_causes.get(KEYS[part], [])


def forget(record: Record, part: Part) -> None:
    """Forget what an earlier run of *part* said: it runs again."""
    record.exit_causes.pop(KEYS[part], None)
