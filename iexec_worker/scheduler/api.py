"""The scheduler's REST API: one request per method, never a retry (that is `session`'s)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
from attrs import frozen

from iexec_worker.errors import Unavailable
from iexec_worker.fields import brief
from iexec_worker.scheduler import messages
from iexec_worker.scheduler.exchange import TIMEOUT, ask, json_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.model import (
        Notification,
        PoolConfig,
        ReplicateOffer,
        StatusUpdate,
        WorkerModel,
    )
    from iexec_worker.wire import Action

T = TypeVar("T")

#: Seconds. The pool checks CONTRIBUTED, REVEALED and the like on-chain before it answers: a block
#: to wait for and three looks, each followed by 6 × blockTime, make more than 90 s at 5 s a block.
UPDATE_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0, read=150.0)


@frozen
class Answer:
    """
    How the pool took a status: HTTP *code* and the *action* it asks for.

    200: recorded; *action* None means nothing to do. 202: refused or unknown to the pool.
    208: it had been recorded before, so that the action says nothing about the next step.
    """

    code: int
    action: Action | None

    @property
    def known_before(self) -> bool:
        """True iff the status was in the replicate's history already."""
        return self.code == httpx.codes.ALREADY_REPORTED

    @property
    def refused(self) -> bool:
        """True iff the pool does not know the replicate or does not allow the transition."""
        return self.code == httpx.codes.ACCEPTED


@frozen
class SchedulerApi:
    """
    Calls on the scheduler at *url* (without a slash at the end).

    All raise `Unavailable` (no usable answer), `Unauthorized` (401) and `Refused` (other 4xx).
    """

    client: httpx.AsyncClient
    url: str

    async def version(self) -> str:
        """The pool's version, `9.3.0` for instance."""
        return text_of(await self._ask("GET", "/version"))

    async def config(self) -> PoolConfig:
        return await self._read(messages.pool_config, "/workers/config")

    async def challenge(self, wallet: str) -> str:
        """Text to sign for a login; `Unauthorized`: *wallet* is not on the pool's list."""
        params = {"walletAddress": wallet}
        return text_of(await self._ask("GET", "/workers/challenge", params=params))

    async def login(self, wallet: str, signature: str) -> str:
        """A token; `Unauthorized`: the signature is bad, or *wallet* is not on the list."""
        params = {"walletAddress": wallet}
        body = {"value": signature}
        return text_of(await self._ask("POST", "/workers/login", params=params, body=body))

    async def ping(self, token: str) -> str:
        """Say that we are alive. The id changes when the pool's configuration does."""
        return text_of(await self._ask("POST", "/workers/ping", token=token))

    async def register(self, token: str, model: WorkerModel) -> None:
        body = messages.worker_model(model)
        await self._ask("POST", "/workers/register", token=token, body=body)

    async def computing(self, token: str) -> tuple[str, ...]:
        """Tasks of ours that the pool counts as computing."""
        return await self._read(messages.task_ids, "/workers/computing", token=token)

    async def available(self, token: str, block: int) -> ReplicateOffer | None:
        """Ask for work, *block* being the latest we know; None: there is none now."""
        path, params = "/replicates/available", {"blockNumber": block}
        response = await self._ask("GET", path, token=token, params=params)
        if response.status_code == httpx.codes.NO_CONTENT or not response.content.strip():
            return None
        return _understand(messages.offer, response)

    async def interrupted(self, token: str, block: int) -> tuple[Notification, ...]:
        """What the pool still wants of us, task by task; listing them has effects there."""
        path, params = "/replicates/interrupted", {"blockNumber": block}
        return await self._read(messages.notifications, path, token=token, params=params)

    async def update(self, token: str, task_id: str, update: StatusUpdate) -> Answer:
        """Tell one status. May take two minutes (`UPDATE_TIMEOUT`)."""
        path = f"/replicates/{task_id}/updateStatus"
        body = messages.status_update(update)
        response = await self._ask("POST", path, token=token, body=body, timeout=UPDATE_TIMEOUT)
        return Answer(response.status_code, _action(response))

    async def _read(self, read: Callable[[object], T], path: str, **how: Any) -> T:  # noqa: ANN401 - handed on to `ask`
        return _understand(read, await self._ask("GET", path, **how))

    async def _ask(
        self,
        method: str,
        path: str,
        timeout: httpx.Timeout = TIMEOUT,  # noqa: ASYNC109 - httpx tells connect from read
        **how: Any,  # noqa: ANN401 - handed on to `ask`
    ) -> httpx.Response:
        return await ask(self.client, method, self.url + path, timeout=timeout, **how)


def _understand(read: Callable[[object], T], response: httpx.Response) -> T:
    body = json_of(response)
    try:
        return read(body)
    except ValueError as error:
        request = response.request
        raise Unavailable(
            f"{request.method} {request.url}: cannot be read: {error}: {brief(body)}"
        ) from error


def _action(response: httpx.Response) -> Action | None:
    """Return the action in the answer to an update: a JSON string, or nothing at all."""
    if not response.content.strip():
        return None
    body = json_of(response)
    if body is None:
        return None
    if not isinstance(body, str) or not messages.is_action_name(body):
        raise Unavailable(f"{response.request.url}: no action in the answer: {brief(body)}")
    return messages.action(body)
