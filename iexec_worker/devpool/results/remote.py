"""Where the scheduler looks for a result: the pool's own proxy, or the one a deal names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import structlog
from attrs import frozen

from iexec_worker.devpool.chain.hashing import concat_and_hash

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

    async def stored(self, task_id: str, proxy: str, challenge: str) -> bool:
        """True iff that proxy has the result; False also when it cannot be asked."""
        if not proxy or proxy.rstrip("/") == self.own_url:
            return await self.own.stored(task_id)
        try:
            url = proxy.rstrip("/") + "/v1/results"
            return await self._elsewhere(url, *self._permit(task_id, challenge))
        except httpx.HTTPError as reason:
            log.warning("result proxy away", url=proxy, reason=str(reason))
            return False

    async def _elsewhere(self, url: str, permit: dict[str, object], signature: str) -> bool:
        header = {"Authorization": signature}
        token = await self.client.post(f"{url}/token", json=permit, headers=header)
        if token.status_code != httpx.codes.OK:
            return False
        found = await self.client.head(
            f"{url}/{permit['chainTaskId']}", headers={"Authorization": token.text}
        )
        return found.is_success

    def _permit(self, task_id: str, challenge: str) -> tuple[dict[str, object], str]:
        wallet = self.chain.owner_address
        signature = self.chain.sign_prefixed(concat_and_hash(wallet, task_id, challenge))
        permit: dict[str, object] = {
            "chainTaskId": task_id,
            "workerWallet": wallet,
            "enclaveChallenge": challenge,
            "signature": {"value": signature},
        }
        # It permits itself: the owner signs both as the pool and as the worker.
        return permit, signature
