"""Web services that others chose: one request per question, its answer bounded in every way."""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

import httpx
import trio
from attrs import frozen

from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.transport import raw_body, shown, why
from iexec_worker.wire import converter

if TYPE_CHECKING:
    from collections.abc import Callable

    from iexec_worker.model import Authorization

LONGEST_ANSWER: Final = 64 * 1024
"""Bytes. No answer has more than some kilobytes, and any server may be named as the service."""

ANSWERED_WITHIN: Final = 60.0
"""
Seconds for a question as a whole: time-outs of reads alone let an answer drip. An SMS makes a
session by several calls to other services.
"""


@frozen
class Answer:
    """A status and the text that came with it."""

    status: int
    text: str

    @property
    def good(self) -> bool:
        """True iff the question was taken."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


def authorization_body(ours: Authorization) -> bytes:
    """Return what shows such a service that the pool's authorization is *ours*."""
    fields: dict[str, Any] = converter().unstructure(ours)
    return json.dumps(fields | {"signature": {"value": ours.signature}}).encode()


@frozen
class ForeignService:
    """
    The service at *url*, which others chose: *client* may have to be a guarded one.

    Every question raises `Unavailable` (no connection, 5xx, not what it should be; try again),
    `Unauthorized` (401) or `Rejected` (any other refusal).
    """

    #: What it is to people.
    kind: ClassVar[str]

    client: httpx.AsyncClient
    url: str
    answered_within: float = ANSWERED_WITHIN

    @property
    def name(self) -> str:
        """Its address in texts for people: whatever others wrote, it is short and harmless."""
        try:
            return shown(httpx.URL(self.url))
        except httpx.InvalidURL:
            return "(not a URL)"

    async def _ask(
        self, method: str, path: str, *, authorization: str = "", content: bytes | None = None
    ) -> Answer:
        """Return the answer as it is, whatever its status: see `_check`."""
        build = partial(self._request, method, path, authorization, content)
        return await self._answer(build, self.answered_within)

    def _request(
        self, method: str, path: str, authorization: str, content: bytes | None
    ) -> httpx.Request:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if content is not None:
            # Also for what is no JSON: it is what the Java worker says of every body.
            headers["Content-Type"] = "application/json"
        if authorization:
            headers["Authorization"] = authorization  # bare: these servers know no "Bearer"
        url = self.url.rstrip("/") + path
        return self.client.build_request(method, url, headers=headers, content=content)

    async def _answer(self, build: Callable[[], httpx.Request], within: float) -> Answer:
        """Send what *build* makes, which may find that there is no URL; *within* in seconds."""
        try:
            request = build()
            with trio.fail_after(within):
                return await self._send(request)
        except trio.TooSlowError:
            raise Unavailable(f"{self._who}: no answer in {within:.0f} s") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"{self._who}: {why(error)}") from error
        except httpx.InvalidURL:
            # Not what the parser says of it: it may repeat a password.
            raise Rejected(f"the address of the {self.kind} is not a URL") from None

    async def _send(self, request: httpx.Request) -> Answer:
        response = await self.client.send(request, stream=True)
        try:
            return Answer(response.status_code, await self._text(response))
        finally:
            await response.aclose()

    async def _text(self, response: httpx.Response) -> str:
        """Read the answer as it was sent; decompressed, a short one could fill the memory."""
        body = bytearray()
        async with raw_body(response) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise Unavailable(f"{self._who} answers without an end")
        return body.decode("utf-8", "replace").strip()

    def _check(self, request: str, answer: Answer) -> None:
        """Raise the error of an *answer* to *request* that is not good."""
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Unauthorized(f"{self._who} refused {request}: 401")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"{self._who} answered {request}: {answer.status}")
        if not answer.good:
            raise Rejected(f"{self._who} refused {request}: {answer.status}")

    @property
    def _who(self) -> str:
        return f"{self.kind} {self.name}"
