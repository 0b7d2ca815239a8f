"""The SMS as the scheduler asks it: the enclave keys of tasks, and where results go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httpx
import structlog
from attrs import frozen

from iexec_worker.devpool.chain.hashing import concat_and_hash, web2_challenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.devpool.scheduler.ports import Chain
    from iexec_worker.model import TeeFramework

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: The secret in which enclaves find the pool's result proxy.
PROXY_URL: Final = "iexec-result-iexec-result-proxy-url"

_ADDRESS: Final = re.compile("0x[0-9a-f]{40}")


class NoSms:
    """What a pool has that takes standard tasks only."""

    async def url(self, framework: TeeFramework) -> str | None:  # noqa: ARG002 - as the others
        """None: there is none."""
        return None

    async def challenge(self, url: str, task_id: str) -> str | None:  # noqa: ARG002 - as above
        """None: there is nobody to ask."""
        return None

    async def tell_proxy(self, url: str, proxy: str) -> None:
        """Tell nobody."""


@frozen
class SmsClient:
    """Asks over HTTP, as the owner of the pool; *urls*: by framework."""

    urls: Mapping[TeeFramework, str]
    chain: Chain
    client: httpx.AsyncClient

    async def url(self, framework: TeeFramework) -> str | None:
        """Where the SMS of *framework* is; None when it is away or says that it is another's."""
        url = self.urls.get(framework)
        if url is None:
            return None
        answer = await self._ask("GET", f"{url}/tee/framework")
        if answer is None or answer.text != f'"{framework.name}"':
            return None
        return url

    async def challenge(self, url: str, task_id: str) -> str | None:
        """The address of the task's enclave key, which the SMS makes if it has none."""
        signature = self.chain.sign_prefixed(concat_and_hash(task_id))
        answer = await self._ask("POST", f"{url}/tee/challenges/{task_id}", signature=signature)
        if answer is None or not _ADDRESS.fullmatch(answer.text):
            return None
        return answer.text

    async def tell_proxy(self, url: str, proxy: str) -> None:
        """Keep *proxy* as a secret of the pool's owner; without it, requesters have to name one."""
        owner = self.chain.owner_address
        where = f"{url}/secrets/web2?ownerAddress={owner}&secretName={PROXY_URL}"
        there = await self._ask("HEAD", where)
        signature = self.chain.sign_prefixed(web2_challenge(owner, PROXY_URL, proxy))
        method = "POST" if there is None else "PUT"
        await self._ask(method, where, signature=signature, content=proxy)

    async def _ask(
        self, method: str, url: str, *, signature: str = "", content: str = ""
    ) -> httpx.Response | None:
        """The answer when it is a good one."""
        headers = {"Authorization": signature} if signature else {}
        try:
            answer = await self.client.request(method, url, headers=headers, content=content)
        except httpx.HTTPError as reason:
            log.warning("SMS away", url=url, reason=repr(reason))
            return None
        return answer if answer.is_success else None
