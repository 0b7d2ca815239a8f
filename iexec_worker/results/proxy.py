"""The result proxy's HTTP API: one request per method, never repeated here."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

import httpx
from attrs import frozen

from iexec_worker.errors import Unavailable
from iexec_worker.foreign import ForeignService, authorization_body
from iexec_worker.results.body import upload_body

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.model import Authorization
    from iexec_worker.results.body import UploadBody

STORED_WITHIN: Final = 600.0
"""Seconds between the last byte of an upload and its answer: it is put on IPFS in between."""

SLOWEST: Final = 65_536
"""Bytes/s on average, below which an upload is given up."""

_TOKEN: Final = re.compile(r"[\w.-]+", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9]{1,128}")


@frozen
class ResultProxy(ForeignService):
    """The proxy, which the requester may have chosen: *client* has to be a guarded one."""

    kind: ClassVar = "result proxy"

    async def version(self) -> str:
        """Return the proxy's version."""
        answer = await self._ask("GET", "/version")
        self._check("GET /version", answer)
        return answer.text

    async def token(self, ours: Authorization, signature: str) -> str:
        """
        Trade the pool's authorization *ours* for a token.

        *signature* is the worker's, with prefix, of the authorization's hash.
        """
        path, body = "/v1/results/token", authorization_body(ours)
        answer = await self._ask("POST", path, authorization=signature, content=body)
        self._check(f"POST {path}", answer)
        if not _TOKEN.fullmatch(answer.text):
            raise Unavailable(f"result proxy {self.name} gave no token")
        return answer.text

    async def upload(self, token: str, ours: Authorization, archive: Path, digest: str) -> str:
        """
        Hand over *archive*, whose digest is *digest*; memory does not grow with its size.

        Returns the location (`/ipfs/<hash>`) as told; without a hash it may be stored all the
        same: ask `ipfs_hash`. A proxy that has the result already answers 401.
        """
        with archive.open("rb") as file:
            body = upload_body(file, ours, digest)
            within = STORED_WITHIN + body.length / SLOWEST
            answer = await self._answer(partial(self._upload, token, body), within)
        self._check("POST /v1/results", answer)
        return answer.text

    async def exists(self, token: str, chain_task_id: str) -> bool:
        """Tell whether the proxy has the result of the task."""
        path = f"/v1/results/{chain_task_id}"
        answer = await self._ask("HEAD", path, authorization=token)
        if answer.status == HTTPStatus.NOT_FOUND:
            return False
        self._check(f"HEAD {path}", answer)
        return True

    async def ipfs_hash(self, chain_task_id: str) -> str | None:
        """Return where on IPFS the result of the task is, None when it is not."""
        path = f"/v1/results/{chain_task_id}/ipfshash"
        answer = await self._ask("GET", path)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        self._check(f"GET {path}", answer)
        if not answer.text:
            return None
        # It goes on-chain in a link: nothing but a hash may stand there.
        if not _HASH.fullmatch(answer.text):
            raise Unavailable(f"result proxy {self.name} gave something else than a hash")
        return answer.text

    def _upload(self, token: str, body: UploadBody) -> httpx.Request:
        request = self._request("POST", "/v1/results", token, b"")
        request.headers["Content-Length"] = str(body.length)
        request.extensions["timeout"] = httpx.Timeout(60.0, read=STORED_WITHIN).as_dict()
        # Given as `content` it would be wrapped in a generator, which an upload that is cut off
        # leaves to the garbage collector.
        request.stream = body
        return request
