"""What a worker that was away is to do now: `/replicates/interrupted`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define

from iexec_worker.devpool.broker.notifications import Extra, Message
from iexec_worker.devpool.scheduler.authorization import authorize
from iexec_worker.devpool.scheduler.messages import Details, Update
from iexec_worker.devpool.scheduler.state import OPEN, REVEALING, TaskState
from iexec_worker.devpool.scheduler.transitions import allowed, before
from iexec_worker.devpool.scheduler.verification import Verdict
from iexec_worker.model import ZERO_ADDRESS, TaskStatus
from iexec_worker.wire import Action, Cause, Status

if TYPE_CHECKING:
    from iexec_worker.devpool.scheduler.ports import Chain
    from iexec_worker.devpool.scheduler.state import Replicate, Store, Task
    from iexec_worker.devpool.scheduler.updates import Updates
    from iexec_worker.devpool.scheduler.verification import Verification

_FINISHING: Final = frozenset({TaskState.FINALIZING, TaskState.FINALIZED, TaskState.COMPLETED})

Decision = tuple[Action, Cause | None]
_CONTRIBUTE: Final[Decision] = (Action.PLEASE_CONTRIBUTE, None)
_WAIT: Final[Decision] = (Action.PLEASE_WAIT, None)
_REVEAL: Final[Decision] = (Action.PLEASE_REVEAL, None)
_UPLOAD: Final[Decision] = (Action.PLEASE_UPLOAD, None)


@define(eq=False)
class Interrupted:
    """Decides per task of a worker; a task without a decision is not mentioned."""

    store: Store
    chain: Chain
    verification: Verification
    updates: Updates

    async def list(self, wallet: str, block: int) -> list[dict[str, Any]]:
        """The notifications for *wallet*, whose replicates are then RECOVERING."""
        worker = self.store.workers.get(wallet)
        found = []
        for chain_task_id in list(worker.participating) if worker else []:
            known = self.store.replicate(chain_task_id, wallet)
            if known and _permitted(known[0]) and (decision := await self._decide(*known, block)):
                found.append(self._message(known[0], wallet, decision).as_json())
                _recovering(known[1])
        return found

    def _message(self, task: Task, wallet: str, decision: Decision) -> Message:
        action, cause = decision
        version = self.updates.settings.numbers
        extra = Extra(
            authorization=authorize(self.chain, task, wallet, version),
            block_number=task.consensus_block if action is Action.PLEASE_REVEAL else 0,
            abort_cause=cause,
        )
        return Message(task.chain_task_id, action, (wallet,), extra)

    async def _decide(self, task: Task, replicate: Replicate, block: int) -> Decision | None:
        if task.state in OPEN:
            return await self._while_open(task, replicate, block)
        if task.state is TaskState.CONTRIBUTION_TIMEOUT:
            return Action.PLEASE_ABORT, Cause.CONTRIBUTION_TIMEOUT
        if task.state in REVEALING:
            return await self._while_revealing(task, replicate)
        if task.state in _FINISHING and replicate.ever(Status.REVEALED):
            done = task.state is TaskState.COMPLETED
            return (Action.PLEASE_COMPLETE, None) if done else _WAIT
        return None

    async def _while_open(self, task: Task, replicate: Replicate, block: int) -> Decision | None:
        if before(replicate.relevant, Status.CONTRIBUTING):
            return _CONTRIBUTE
        if replicate.relevant is Status.CONTRIBUTING:
            if not await self.verification.contributed(task, replicate.wallet):
                return _CONTRIBUTE
            await self._contributed(task, replicate, block)
        if replicate.relevant is not Status.CONTRIBUTED:
            return None
        return _REVEAL if await self._agreed(task) else _WAIT

    async def _while_revealing(self, task: Task, replicate: Replicate) -> Decision | None:
        if task.state is TaskState.CONSENSUS_REACHED and not replicate.ever(Status.CONTRIBUTED):
            return Action.PLEASE_ABORT, Cause.CONSENSUS_REACHED
        if replicate.relevant is Status.REVEALING and await self.verification.revealed(
            task, replicate.wallet
        ):
            await self._mark(task, replicate, Status.REVEALED)
        if task.state is TaskState.RESULT_UPLOADING:
            return await self._while_uploading(task, replicate)
        return {
            Status.CONTRIBUTED: _REVEAL,
            Status.REVEALING: _REVEAL,
            Status.REVEALED: _WAIT,
            Status.RESULT_UPLOAD_REQUESTED: _UPLOAD,
        }.get(replicate.relevant)

    async def _while_uploading(self, task: Task, replicate: Replicate) -> Decision | None:
        match replicate.relevant:
            case Status.RESULT_UPLOAD_REQUESTED:
                return _UPLOAD
            case Status.RESULT_UPLOADING:
                if not await self.verification.present(task):
                    return _UPLOAD
                await self._mark(task, replicate, Status.RESULT_UPLOADED)
                return _WAIT
            case Status.RESULT_UPLOADED:
                return _WAIT
        return None

    async def _agreed(self, task: Task) -> bool:
        onchain = await self.chain.task(task.chain_task_id)
        if onchain is None or onchain.status is not TaskStatus.REVEALING:
            return False
        await self.updates.evaluation.evaluate(task)
        return bool(task.consensus)

    async def _contributed(self, task: Task, replicate: Replicate, block: int) -> None:
        verdict = await self.verification.verdict_of_contribution(task, replicate.wallet)
        update = Update(Status.CONTRIBUTED, Details(block=block), {})
        self.updates.apply(task, replicate, update, verdict, by_worker=False)

    async def _mark(self, task: Task, replicate: Replicate, status: Status) -> None:
        update = Update(status, Details(), {})
        self.updates.apply(task, replicate, update, Verdict(confirmed=True), by_worker=False)
        await self.updates.evaluation.evaluate(task)


def _permitted(task: Task) -> bool:
    """False for a TEE task without its challenge, for which nothing can be signed."""
    return task.framework is None or task.enclave_challenge != ZERO_ADDRESS


def _recovering(replicate: Replicate) -> None:
    if not replicate.ever(Status.RECOVERING) and allowed(replicate.current, Status.RECOVERING):
        replicate.add(Status.RECOVERING, by_worker=False)
