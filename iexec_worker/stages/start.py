"""PLEASE_START: is this a task for us at all?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.errors import StageFailed
from iexec_worker.stages.task import Details
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.stages.admission import Admission
    from iexec_worker.stages.conditions import Conditions
    from iexec_worker.stages.task import Task
    from iexec_worker.stages.trusted.sessions import Sessions
    from iexec_worker.stages.trusted.specs import TrustedSpecs
    from iexec_worker.tee.sms import Sms
    from iexec_worker.tee.sms_book import SmsBook


@frozen
class Start:
    """
    Checks the authorization, the chain's conditions and what the deal asks for.

    A trusted task is prepared: by its framework, with what the SMS at the pool's address knows.
    """

    conditions: Conditions
    admission: Admission
    specs: TrustedSpecs
    sessions: Sessions
    sms_at: Callable[[str], Sms]
    book: SmsBook

    async def __call__(self, task: Task) -> Details:
        await self.conditions.authorized(task)
        await self.conditions.check(task)
        description = task.description
        if refusal := self.admission.refusal(description):
            raise StageFailed(Cause.ABORTED_BY_WORKER, refusal)
        if description.tee_framework is not None:
            await self._prepare(task)
        elif description.params.result_encryption:
            raise StageFailed(
                Cause.TASK_DESCRIPTION_INVALID, "a standard task cannot have its result encrypted"
            )
        return Details()

    async def _prepare(self, task: Task) -> None:
        """Set the record's *tee*; what an earlier life was given is as good as new."""
        framework, url = self.specs.framework(task), await self._sms_url(task)
        if task.record.tee is not None:
            return
        sms = self.sms_at(url)

        def show(text: str) -> None:
            task.node.doing = text

        task.record.tee = await framework.prepare(
            task.description,
            sms,
            task.folder.root,
            partial(self.sessions.open, task, sms),
            show,
        )
        await task.save()
        assert task.description.tee_framework is not None, "it has a framework"
        await self.book.remember(task.description.tee_framework, url)

    async def _sms_url(self, task: Task) -> str:
        """Return where the task's SMS is. Raises `StageFailed` when nobody says so."""
        url, framework = task.record.sms_url, task.description.tee_framework
        if not url and task.record.offer_lost and framework is not None:
            # What a pool repeats has no SMS in it, but it has one for each framework.
            url = await self.book.find(framework)
        if not url:
            raise StageFailed(Cause.UNKNOWN_SMS, "the pool names no SMS")
        return url
