"""The result proxy's HTTP API: one request per method, never repeated here."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httpx
import trio
from attrs import frozen

from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.results.body import upload_body
from iexec_worker.transport import raw_body, shown

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.model import Authorization
    from iexec_worker.results.body import UploadBody

LONGEST_ANSWER: Final = 64 * 1024
"""Bytes. Tokens and hashes are short; a requester may name any server as the proxy."""

STORED_WITHIN: Final = 600.0
"""Seconds between the last byte of an upload and its answer: it is put on IPFS in between."""

ANSWERED_WITHIN: Final = 60.0
"""Seconds for any other question as a whole: time-outs of reads alone let an answer drip."""

SLOWEST: Final = 65_536
"""Bytes/s on average, below which an upload is given up."""

_TOKEN: Final = re.compile(r"[\w.-]+", re.ASCII)
_HASH: Final = re.compile(r"[A-Za-z0-9]{1,128}")


@frozen
class Answer:
    """A status and the text that came with it."""

    status: int
    text: str


@frozen
class ResultProxy:
    """
    The proxy at *url*, which the requester may have chosen: *client* has to be a guarded one.

    Every method raises `Unavailable` (no connection, 5xx, not what it should be; try again),
    `Unauthorized` (401) or `Rejected` (any other refusal).
    """

    client: httpx.AsyncClient
    url: str
    answered_within: float = ANSWERED_WITHIN

    @property
    def name(self) -> str:
        """The proxy in texts for people: whatever a requester wrote, it is short and harmless."""
        try:
            return shown(httpx.URL(self.url))
        except httpx.InvalidURL:
            return "(not a URL)"

    async def version(self) -> str:
        """Return the proxy's version."""
        return (await self._ask("GET", "/version")).text

    async def token(self, ours: Authorization, signature: str) -> str:
        """
        Trade the pool's authorization *ours* for a token.

        *signature* is the worker's, with prefix, of the authorization's hash.
        """
        body = {
            "chainTaskId": ours.chain_task_id,
            "dealId": ours.deal_id,
            "taskIndex": ours.task_index,
            "workerWallet": ours.worker_wallet,
            "enclaveChallenge": ours.enclave_challenge,
            "signature": {"value": ours.signature},
        }
        answer = await self._ask("POST", "/v1/results/token", authorization=signature, json=body)
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
            answer = await self._ask("POST", "/v1/results", authorization=token, upload=body)
        return answer.text

    async def exists(self, token: str, chain_task_id: str) -> bool:
        """Tell whether the proxy has the result of the task."""
        answer = await self._ask("HEAD", f"/v1/results/{chain_task_id}", authorization=token)
        return answer.status != HTTPStatus.NOT_FOUND

    async def ipfs_hash(self, chain_task_id: str) -> str | None:
        """Return where on IPFS the result of the task is, None when it is not."""
        answer = await self._ask("GET", f"/v1/results/{chain_task_id}/ipfshash")
        if answer.status == HTTPStatus.NOT_FOUND or not answer.text:
            return None
        # It goes on-chain in a link: nothing but a hash may stand there.
        if not _HASH.fullmatch(answer.text):
            raise Unavailable(f"result proxy {self.name} gave something else than a hash")
        return answer.text

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        authorization: str = "",
        json: dict[str, Any] | None = None,
        upload: UploadBody | None = None,
    ) -> Answer:
        within = STORED_WITHIN + upload.length / SLOWEST if upload else self.answered_within
        try:
            request = self._request(method, path, authorization, json, upload)
            with trio.fail_after(within):
                answer = await self._answer(request)
        except trio.TooSlowError:
            raise Unavailable(f"result proxy {self.name}: no answer in {within:.0f} s") from None
        except httpx.HTTPError as error:
            fact = f"{type(error).__name__} {error}".rstrip()
            raise Unavailable(f"result proxy {self.name}: {fact}") from error
        except httpx.InvalidURL:
            # Not what the parser says of it: it may repeat a password.
            raise Rejected("the address of the result proxy is not a URL") from None
        self._check(f"{method} {path}", answer)
        return answer

    async def _answer(self, request: httpx.Request) -> Answer:
        response = await self.client.send(request, stream=True)
        try:
            return Answer(response.status_code, await self._text(response))
        finally:
            await response.aclose()

    def _request(
        self,
        method: str,
        path: str,
        authorization: str,
        json: dict[str, Any] | None,
        upload: UploadBody | None,
    ) -> httpx.Request:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if authorization:
            headers["Authorization"] = authorization  # bare: this server knows no "Bearer"
        url = self.url.rstrip("/") + path
        if upload is None:
            return self.client.build_request(method, url, headers=headers, json=json)
        headers |= {"Content-Type": "application/json", "Content-Length": str(upload.length)}
        timeout = httpx.Timeout(60.0, read=STORED_WITHIN)
        request = self.client.build_request(method, url, headers=headers, timeout=timeout)
        # Given as `content` it would be wrapped in a generator, which an upload that is cut off
        # leaves to the garbage collector.
        request.stream = upload
        return request

    async def _text(self, response: httpx.Response) -> str:
        """Read the answer as it was sent; decompressed, a short one could fill the memory."""
        body = bytearray()
        async with raw_body(response) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise Unavailable(f"result proxy {self.name} answers without an end")
        return body.decode("utf-8", "replace").strip()

    def _check(self, request: str, answer: Answer) -> None:
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Unauthorized(f"result proxy {self.name} refused {request}: 401")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"result proxy {self.name} answered {request}: {answer.status}")
        found = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES
        if not found and not (answer.status == HTTPStatus.NOT_FOUND and _may_miss(request)):
            raise Rejected(f"result proxy {self.name} refused {request}: {answer.status}")


def _may_miss(request: str) -> bool:
    """404 is an answer to a question, and a wrong address when something is handed over."""
    return not request.startswith("POST") and "/v1/results/" in request
