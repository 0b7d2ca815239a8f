"""The hub (PoCo's diamond): reads what concerns a worker, and builds its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
from attrs import frozen

from iexec_worker.chain import abi, calls, preconditions, records
from iexec_worker.chain.calls import Call, Kind
from iexec_worker.chain.commitments import result_hash as hash_of_result
from iexec_worker.chain.node.provider import NodeProvider
from iexec_worker.chain.node.rpc import NodeRefused, Request, quantity
from iexec_worker.chain.reverts import is_revert, reason
from iexec_worker.errors import Reverted, WorkerError
from iexec_worker.model import (
    ZERO_ADDRESS,
    ZERO_HASH,
    Account,
    Authorization,
    Contribution,
    OnchainTask,
    TaskDescription,
)

#: Tries, one block apart, before a task or its deal counts as not there.
DESCRIBE_TRIES: Final = 5


@frozen
class Hub:
    """
    The contract at *address* as seen by the worker *wallet*, which every call is made from.

    *next_block* returns at the next block, or when none comes. Without a node every method raises
    `Unavailable`.
    """

    provider: NodeProvider
    address: str
    wallet: str
    next_block: Callable[[], Awaitable[object]]

    async def describe(self, task_id: str) -> TaskDescription | None:
        """
        Read all about a task that never changes; None if it is not on-chain.

        The pool's node may be a block or more ahead of ours: up to `DESCRIBE_TRIES` questions.
        """
        for left in reversed(range(DESCRIBE_TRIES)):
            found = await self._task_and_deal(task_id)
            if found is not None:
                return await self._description(task_id, *found)
            if left:
                await self.next_block()
        return None

    async def task(self, task_id: str) -> OnchainTask | None:
        """Read the state of a task; None if it is not on-chain."""
        (values,) = await self._views((abi.VIEW_TASK, task_id))
        task = records.onchain_task(values)
        return task if task.deal_id != ZERO_HASH else None

    async def account(self, address: str) -> Account:
        """Read the deposit of *address*."""
        (values,) = await self._views((abi.VIEW_ACCOUNT, address))
        return records.account(values)

    async def contribute_view(
        self, task_id: str, worker: str
    ) -> tuple[OnchainTask, Contribution, Account]:
        """Read, in one batch, how a task and *worker* stand; an unknown task is UNSET."""
        task, contribution, account = await self._views(
            (abi.VIEW_TASK, task_id),
            (abi.VIEW_CONTRIBUTION, task_id, worker),
            (abi.VIEW_ACCOUNT, worker),
        )
        return (
            records.onchain_task(task),
            records.contribution(contribution),
            records.account(account),
        )

    async def owner(self, address: str) -> str:
        """Read the owner (lower case) of the contract at *address*: a pool, an app, …."""
        (values,) = await self._views((abi.OWNER,), to=address)
        return str(values[0])

    async def balance(self, address: str) -> int:
        """Read the wei of *address*."""
        return quantity(await self.provider.call("eth_getBalance", address, "latest"))

    async def transaction_counts(self) -> tuple[int, int]:
        """How many transactions of the wallet are mined, and with those that wait."""
        requests = [
            Request("eth_getTransactionCount", (self.wallet, block))
            for block in ("latest", "pending")
        ]
        latest, pending = await self.provider.batch(requests)
        return quantity(latest), quantity(pending)

    def contribute(
        self,
        task_id: str,
        result_hash: str,
        result_seal: str,
        authorization: Authorization,
        enclave_signature: str = "",
    ) -> Call:
        """Build the contribution; see `calls.contribute`."""
        return calls.contribute(
            self.address,
            task_id,
            result_hash,
            result_seal,
            authorization=authorization,
            enclave_signature=enclave_signature,
        )

    def reveal(self, task_id: str, digest: str) -> Call:
        """Build the reveal."""
        return calls.reveal(self.address, task_id, digest, hash_of_result(task_id, digest))

    async def contribute_and_finalize(
        self,
        task_id: str,
        digest: str,
        authorization: Authorization,
        *,
        link: bytes,
        callback_data: str = "",
        enclave_signature: str = "",
    ) -> Call:
        """Build the contribution that ends the task; its gas is the estimate + the callback's."""
        data = abi.CONTRIBUTE_AND_FINALIZE.encode(
            task_id,
            digest,
            link,
            callback_data,
            authorization.enclave_challenge,
            enclave_signature,
            authorization.signature,
        )
        draft = Call(self.address, data, 0, task_id, Kind.FINALIZE)
        return await self._with_estimate(draft)

    async def explain(self, call: Call) -> str:
        """
        Say which precondition of *call* does not hold; the contract itself does not.

        Never fails: the refusal is what matters, this only makes it readable.
        """
        try:
            return preconditions.failed(call, await self._facts(call))
        except WorkerError as error:
            return f"no reason given, and the state cannot be read: {error}"

    async def _facts(self, call: Call) -> preconditions.Facts:
        task, contribution, account = await self.contribute_view(call.task_id, self.wallet)
        stake = await self._stake(task.deal_id)
        now = (await self.provider.head()).timestamp
        return preconditions.Facts(task, contribution, account, stake, now)

    async def _stake(self, deal_id: str) -> int:
        (values,) = await self._views((abi.VIEW_DEAL, deal_id))
        return records.deal(values).worker_stake

    async def _with_estimate(self, draft: Call) -> Call:
        transaction = {"from": self.wallet, "to": draft.to, "data": draft.data}
        estimate, callback = await self.provider.answers(
            [
                Request("eth_estimateGas", (transaction,)),
                self._request(self.address, abi.CALLBACK_GAS),
            ]
        )
        for answer in (estimate, callback):
            if isinstance(answer, NodeRefused):
                raise await self.refusal(draft, answer) from answer
        gas = quantity(estimate) + int(abi.CALLBACK_GAS.decode(callback)[0])
        return attrs.evolve(draft, gas=gas)

    async def refusal(self, call: Call, error: NodeRefused) -> Exception:
        """What to raise when simulating *call* ended in *error*: `Reverted` with the reason."""
        if not is_revert(error):
            return error
        return Reverted(f"{call} was refused: {reason(error) or await self.explain(call)}")

    async def _task_and_deal(self, task_id: str) -> tuple[OnchainTask, records.Deal] | None:
        task = await self.task(task_id)
        if task is None:
            return None
        (values,) = await self._views((abi.VIEW_DEAL, task.deal_id))
        deal = records.deal(values)
        return (task, deal) if deal.start_time else None

    async def _description(
        self, task_id: str, task: OnchainTask, deal: records.Deal
    ) -> TaskDescription:
        wanted: list[tuple[Any, ...]] = [
            (abi.VIEW_APP, deal.app),
            (abi.VIEW_CATEGORY, deal.category),
        ]
        if deal.dataset != ZERO_ADDRESS:
            wanted.append((abi.VIEW_DATASET, deal.dataset))
        app, category, *rest = await self._views(*wanted)
        dataset = records.dataset(rest[0]) if rest else records.Asset()
        seconds = category[0][2]
        return records.description(
            task_id, task, deal, app=records.app(app), dataset=dataset, seconds=seconds
        )

    async def _views(
        self, *wanted: tuple[Any, ...], to: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Call views, each (function, arguments…), in one batch. A revert is `Reverted`."""
        requests = [
            self._request(to or self.address, function, *arguments)
            for function, *arguments in wanted
        ]
        answers = await self.provider.answers(requests)
        return [
            _decoded(function, answer)
            for (function, *_), answer in zip(wanted, answers, strict=True)
        ]

    def _request(self, to: str, function: abi.Function, *arguments: Any) -> Request:  # noqa: ANN401 - whatever the types say
        call = {"from": self.wallet, "to": to, "data": function.encode(*arguments)}
        return Request("eth_call", (call, "latest"))


def _decoded(function: abi.Function, answer: Any) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    if not isinstance(answer, NodeRefused):
        return function.decode(answer)
    if is_revert(answer):
        raise Reverted(f"{function.name} was refused: {reason(answer) or 'no reason given'}")
    raise answer
