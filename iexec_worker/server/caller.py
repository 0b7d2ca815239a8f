"""Who calls on behalf of a task: its enclaves sign, and containers of the 8.x stack cannot."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import trio
from attrs import field, frozen
from quart import request

from iexec_worker.chain import commitments
from iexec_worker.model import ZERO_ADDRESS
from iexec_worker.server.replies import refuse
from iexec_worker.versions import enclaves_sign

if TYPE_CHECKING:
    from iexec_worker.model import Authorization
    from iexec_worker.server.view import ReportsPort, View


@frozen
class Callers:
    """Tells whose requests are heard. To look at a signature takes 12 ms: one at a time is."""

    view: View
    _turn: trio.CapacityLimiter = field(init=False, factory=lambda: trio.CapacityLimiter(1))

    async def port(self, chain_task_id: str) -> ReportsPort:
        """
        Return where the task of the request is heard.

        Refuses the request, in this order, without a header (400), for a task that is not here
        (404), and without the signature of the task's enclaves (401).
        """
        await self.view.settle()
        signature = request.headers.get("Authorization")
        if signature is None and not self._may_be_silent():
            refuse(HTTPStatus.BAD_REQUEST, "there is no Authorization header")
        reports = self.view.reports(chain_task_id)
        if reports is None:
            refuse(HTTPStatus.NOT_FOUND, "this worker has no such task")
        await self._check(reports.authorization, signature)
        return reports

    def _may_be_silent(self) -> bool:
        """
        True iff the pool is of 8.x and a container on the Docker network asks.

        The address is the connection's own: no header that says otherwise is looked at.
        """
        client = request.scope["client"]
        if client is None or enclaves_sign(self.view.pool_version()):
            return False
        return self.view.is_container(client[0])

    async def _check(self, ours: Authorization, signature: str | None) -> None:
        if ours.enclave_challenge == ZERO_ADDRESS:
            refuse(HTTPStatus.UNAUTHORIZED, "the task has no enclave")
        if signature is None:
            return
        check = partial(_signer, ours, signature)
        signer = await trio.to_thread.run_sync(check, limiter=self._turn)
        if signer != ours.enclave_challenge.lower():
            refuse(HTTPStatus.UNAUTHORIZED, "the signature is not of an enclave of this task")


def _signer(ours: Authorization, signature: str) -> str | None:
    signed = commitments.callback_hash(ours.chain_task_id, ours.worker_wallet)
    try:
        return commitments.recover_prefixed(signed, signature)
    except ValueError:
        return None
