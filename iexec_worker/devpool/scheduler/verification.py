"""Whether the chain and the result proxy confirm what a worker says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen

from iexec_worker.errors import Unavailable
from iexec_worker.model import ContributionStatus, TaskStatus
from iexec_worker.wire import Status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from iexec_worker.devpool.chain.onchain import PoolContribution
    from iexec_worker.devpool.scheduler.messages import Details, Update
    from iexec_worker.devpool.scheduler.ports import Chain, Results
    from iexec_worker.devpool.scheduler.settings import SchedulerSettings
    from iexec_worker.devpool.scheduler.state import Task

_TRIES: Final = 3
#: Between two looks at the chain, in blocks.
_PAUSE_BLOCKS: Final = 6
#: Between two looks whether a receipt's block is there, in seconds.
_BLOCK_POLL: Final = 0.5
_ON_CHAIN: Final = frozenset({ContributionStatus.CONTRIBUTED, ContributionStatus.PROVED})


@frozen
class Verdict:
    """
    What was found. For CONTRIBUTED with the contribution's *result_hash* and *weight*, for
    CONTRIBUTE_AND_FINALIZE_DONE with the *result_link* that is on-chain.
    """

    confirmed: bool
    result_hash: str = ""
    weight: int = 0
    result_link: str = ""


@frozen
class Verification:
    """Checks updates against the outside."""

    chain: Chain
    results: Results
    settings: SchedulerSettings

    async def check(self, task: Task, wallet: str, update: Update) -> Verdict:
        """
        Look whether *update* is true; most statuses need no proof.

        May take long when the chain does not show it yet.
        """
        if update.status is Status.CONTRIBUTED:
            return await self._contributed(task, wallet, update.details)
        if update.status is Status.CONTRIBUTE_AND_FINALIZE_DONE:
            return await self._finalized(task, wallet)
        return Verdict(await self._confirmed(task, wallet, update))

    async def _confirmed(self, task: Task, wallet: str, update: Update) -> bool:
        match update.status:
            case Status.CONTRIBUTE_FAILED | Status.REVEAL_FAILED:
                confirmed = False
            case Status.COMPUTED:
                confirmed = await self._readable(task)
            case Status.REVEALED:
                confirmed = await self._revealed(task, wallet, update.details)
            case Status.RESULT_UPLOADED:
                confirmed = await self.present(task) and bool(_result(task, update.details))
            case Status.RESULT_UPLOAD_FAILED:
                confirmed = not await self.present(task)
            case _:
                confirmed = True
        return confirmed

    async def contributed(self, task: Task, wallet: str) -> bool:
        """True iff the contribution is on-chain now."""
        return (await self._contribution(task, wallet)).status in _ON_CHAIN

    async def revealed(self, task: Task, wallet: str) -> bool:
        """True iff the contribution is revealed on-chain now."""
        contribution = await self._contribution(task, wallet)
        return contribution.status is ContributionStatus.PROVED

    async def present(self, task: Task) -> bool:
        """True iff the result is where it belongs, or where this scheduler cannot look."""
        if task.has_callback:
            return True
        # Before 9.3.0 only results of TEE tasks were believed to be elsewhere.
        believed = task.framework is not None or self.settings.numbers >= (9, 3, 0)
        if task.params.provider != "ipfs" and believed:
            return True
        return await self.results.stored(
            task.chain_task_id, task.params.proxy, task.enclave_challenge
        )

    async def verdict_of_contribution(self, task: Task, wallet: str) -> Verdict:
        """The contribution as it is on-chain, with the weight it has in the consensus."""
        contribution = await self._contribution(task, wallet)
        if contribution.status not in _ON_CHAIN:
            return Verdict(confirmed=False)
        return Verdict(
            confirmed=True, result_hash=contribution.result_hash, weight=await self.weight(wallet)
        )

    async def verdict_of_finalization(self, task: Task, wallet: str) -> Verdict:
        """Whether *wallet* completed the task itself, with what it left as the result."""
        onchain = await self.chain.task(task.chain_task_id)
        if onchain is None or onchain.status is not TaskStatus.COMPLETED:
            return Verdict(confirmed=False)
        link = onchain.results.decode("utf-8", "replace")
        return Verdict(confirmed=await self.revealed(task, wallet), result_link=link)

    async def weight(self, wallet: str) -> int:
        """The weight of a worker's contribution, as the contracts count it."""
        return max((await self.chain.score(wallet)) // 3, 3) - 1

    async def _contributed(self, task: Task, wallet: str, details: Details) -> Verdict:
        if not await self._seen(lambda: self.contributed(task, wallet), details.block):
            return Verdict(confirmed=False)
        return await self.verdict_of_contribution(task, wallet)

    async def _revealed(self, task: Task, wallet: str, details: Details) -> bool:
        return await self._seen(lambda: self.revealed(task, wallet), details.block)

    async def _finalized(self, task: Task, wallet: str) -> Verdict:
        found = Verdict(confirmed=False)
        if await self._seen(lambda: self.revealed(task, wallet), 0) and await self.present(task):
            found = await self.verdict_of_finalization(task, wallet)
        return found

    async def _readable(self, task: Task) -> bool:
        try:
            return await self.chain.task(task.chain_task_id) is not None
        except Unavailable:
            return False

    async def _contribution(self, task: Task, wallet: str) -> PoolContribution:
        return await self.chain.contribution(task.chain_task_id, wallet)

    async def _seen(self, look: Callable[[], Awaitable[bool]], block: int) -> bool:
        """Look, once *block* is there, and look again some blocks later."""
        pause = _PAUSE_BLOCKS * self.settings.block_time
        with trio.move_on_after(pause):
            await self._reached(block)
        for attempt in range(_TRIES):
            if attempt:
                await trio.sleep(pause)
            try:
                if await look():
                    return True
            except Unavailable:
                continue
        return False

    async def _reached(self, block: int) -> None:
        while True:
            try:
                if (await self.chain.latest_block()).number >= block:
                    return
            except Unavailable:
                pass
            await trio.sleep(_BLOCK_POLL)


def _result(task: Task, details: Details) -> str:
    return details.callback_data if task.has_callback else details.result_link
