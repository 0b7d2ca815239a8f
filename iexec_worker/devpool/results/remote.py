"""Where the scheduler looks for a result: the pool's own proxy, or the one a deal names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import structlog
from attrs import frozen

from iexec_worker.devpool.hashing import concat_and_hash
from iexec_worker.model import ZERO_ADDRESS

if TYPE_CHECKING:
    from iexec_worker.devpool.results.proxy import ResultProxy
    from iexec_worker.devpool.scheduler.ports import Chain

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@frozen
class Look:
    """Asks the pool's own proxy directly and any other over HTTP, as the owner of the pool."""

    own: ResultProxy
    own_url: str
    chain: Chain
    client: httpx.AsyncClient

    async def stored(self, task_id: str, proxy: str) -> bool:
        """True iff that proxy has the result; False also when it cannot be asked."""
        if not proxy or proxy.rstrip("/") == self.own_url:
            return await self.own.stored(task_id)
        try:
            return await self._elsewhere(task_id, proxy.rstrip("/") + "/v1/results")
        except httpx.HTTPError as reason:
            log.warning("result proxy away", url=proxy, reason=str(reason))
            return False

    async def _elsewhere(self, task_id: str, url: str) -> bool:
        permit, signature = self._permit(task_id)
        header = {"Authorization": signature}
        token = await self.client.post(f"{url}/token", json=permit, headers=header)
        if token.status_code != httpx.codes.OK:
            return False
        found = await self.client.head(f"{url}/{task_id}", headers={"Authorization": token.text})
        return found.is_success

    def _permit(self, task_id: str) -> tuple[dict[str, object], str]:
        wallet = self.chain.owner_address
        signature = self.chain.sign_prefixed(concat_and_hash(wallet, task_id, ZERO_ADDRESS))
        permit: dict[str, object] = {
            "chainTaskId": task_id,
            "workerWallet": wallet,
            "enclaveChallenge": ZERO_ADDRESS,
            "signature": {"value": signature},
        }
        # It permits itself: the owner signs both as the pool and as the worker.
        return permit, signature
