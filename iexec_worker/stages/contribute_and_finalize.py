"""PLEASE_CONTRIBUTE_AND_FINALIZE: end a trusted task in one transaction, without stake."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from iexec_worker.chain import commitments
from iexec_worker.chain.calls import Kind
from iexec_worker.errors import StageFailed
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.stages.insisting import Attempt, insist
from iexec_worker.stages.links import Location
from iexec_worker.stages.task import Details
from iexec_worker.stages.trusted.enclave_signature import require_enclave_signature
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.chain.hub import Hub
    from iexec_worker.model import ChainReceipt, ComputedFile
    from iexec_worker.stages.conditions import Conditions, Standing
    from iexec_worker.stages.links import Stored
    from iexec_worker.stages.sending import Sending
    from iexec_worker.stages.task import Task


@frozen
class ContributeAndFinalize:
    """Sends the one contribution to this task that also ends it."""

    conditions: Conditions
    hub: Hub
    sending: Sending
    stored: Stored

    async def __call__(self, task: Task) -> Details:
        try:
            return await self._contribute(task)
        except StageFailed:
            # Whatever is in the way: what an earlier life has sent may be mined meanwhile.
            standing = await self.conditions.standing(task)
            if not _is_done(standing):
                raise
        receipt = await self.sending.receipt(task, Kind.FINALIZE)
        return _details(receipt, _found(standing, task.record.computed))

    async def _contribute(self, task: Task) -> Details:
        await self._check(task)
        computed = _complete(task)
        location = await self.stored(task, computed)
        _check_callback(location, computed)
        task.node.doing = "contributing and finalising"
        send = _Send(self.hub, self.sending, task, computed, location)
        attempt = Attempt(
            Kind.FINALIZE, send, partial(self._done, task), partial(self._check, task)
        )
        return _details(await insist(task, self.sending, attempt), location)

    async def _done(self, task: Task) -> bool:
        return _is_done(await self.conditions.standing(task))

    async def _check(self, task: Task) -> None:
        """Raise `StageFailed` with the first condition that does not hold."""
        standing = await self.conditions.check(task)
        _complete(task)
        if task.description.trust != 1:
            raise StageFailed(
                Cause.TRUST_NOT_1, f"the deal asks for a trust of {task.description.trust}"
            )
        if standing.task.contributors:
            raise StageFailed(
                Cause.TASK_ALREADY_CONTRIBUTED, f"by {', '.join(standing.task.contributors)}"
            )


@define(eq=False)
class _Send:
    """Goes on with what was signed in an earlier life; after a refusal the call is made anew."""

    hub: Hub
    sending: Sending
    task: Task
    computed: ComputedFile
    location: Location
    _begun: bool = field(init=False, default=False)

    async def __call__(self) -> ChainReceipt:
        # An estimate beside a transaction that waits to be mined would say that it is refused.
        call = None if self._begun else self.sending.begun(self.task, Kind.FINALIZE)
        self._begun = True
        if call is None:
            call = await self.hub.contribute_and_finalize(
                self.task.id,
                self.computed.result_digest,
                self.task.authorization,
                link=self.location.link.encode(),
                callback_data=self.location.callback_data or "",
                enclave_signature=self.computed.enclave_signature,
            )
        return await self.sending.send(self.task, call)


def _complete(task: Task) -> ComputedFile:
    """Return the result; raises `StageFailed` unless it has all that the hub looks at."""
    computed = task.record.computed
    if computed is None or not computed.result_digest:
        raise StageFailed(Cause.DETERMINISM_HASH_NOT_FOUND, "there is no result to contribute")
    require_enclave_signature(computed, task.authorization)
    return computed


def _check_callback(location: Location, computed: ComputedFile) -> None:
    """Raise `StageFailed` when the hub would not take the data for the contract."""
    if location.callback_data is None:
        return
    try:
        digest = commitments.concat_and_hash(location.callback_data)
    except ValueError as error:
        raise StageFailed(
            Cause.RESULT_LINK_MISSING, "the data for the callback is not hexadecimal"
        ) from error
    if digest != computed.result_digest:
        raise StageFailed(
            Cause.DETERMINISM_HASH_NOT_FOUND, "the digest is not that of the data for the callback"
        )


def _is_done(standing: Standing) -> bool:
    """True iff the task was ended by a contribution of ours: success, whichever life sent it."""
    ended = standing.task.status is TaskStatus.COMPLETED
    return ended and standing.contribution.status is ContributionStatus.PROVED


def _found(standing: Standing, computed: ComputedFile | None) -> Location:
    """Return what an earlier life put on-chain."""
    link = standing.task.results.decode("utf-8", "replace")
    return Location(link, (computed and computed.callback_data) or None)


def _details(receipt: ChainReceipt, location: Location) -> Details:
    return Details(
        chain_receipt=receipt,
        result_link=location.link,
        chain_callback_data=location.callback_data,
    )
