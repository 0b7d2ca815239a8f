"""One HTTP exchange with a service of the pool; failures are named after their reaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import httpx

from iexec_worker.errors import Rejected, Unauthorized, Unavailable
from iexec_worker.transport import why

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds. Every answer but that of an update is quick; a proxy in between may be slow to connect.
TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)

#: 4xx that speak of the moment, not of the request: time-out, too early, too many requests.
_PASSING: Final = frozenset({408, 425, 429})

#: A token or a challenge is less than 1 KiB; more is not what was asked for.
_LONGEST_TEXT: Final = 8192


class Refused(Rejected):
    """Raised when a request was understood and refused; *status* is the HTTP status, a 4xx."""

    def __init__(self, text: str, status: int) -> None:
        self.status = status
        super().__init__(text)


async def ask(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    params: Mapping[str, str | int] | None = None,
    body: object = None,
    token: str | None = None,
    timeout: httpx.Timeout = TIMEOUT,  # noqa: ASYNC109 - httpx tells connect from read
) -> httpx.Response:
    """
    Make one request and return its 2xx answer.

    *body* is sent as JSON. Raises `Unauthorized` (401), `Refused` (other 4xx) and `Unavailable`
    for everything that may pass: no connection, time-outs, redirects, 5xx.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        response = await client.request(
            method, url, params=params, json=body, headers=headers, timeout=timeout
        )
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise Unavailable(f"{method} {url}: {why(error)}") from error
    _check(response, f"{method} {url}")
    return response


def _check(response: httpx.Response, what: str) -> None:
    code = response.status_code
    if response.is_success:
        return
    if code == httpx.codes.UNAUTHORIZED:
        raise Unauthorized(f"{what}: 401, the pool does not accept our token")
    if response.is_client_error and code not in _PASSING:
        raise Refused(f"{what}: refused with {code}{_excerpt(response)}", code)
    raise Unavailable(f"{what}: answered {code}{_excerpt(response)}")


def _excerpt(response: httpx.Response) -> str:
    """Quote the beginning of a body on one line, escaped: it may be anybody's text."""
    text = " ".join(response.text.split())[:120]
    return f" {text!a}" if text else ""


def text_of(response: httpx.Response) -> str:
    """
    Return a body that is raw text: never JSON-quoted, whatever its content type says.

    Raises `Unavailable` when it cannot be what was asked for (HTML, several lines, nothing).
    """
    text = response.text.strip()
    if not text or len(text) > _LONGEST_TEXT or _is_html(text) or not _is_plain(text):
        raise _unusable(response, "one line of text")
    return text


def json_of(response: httpx.Response) -> Any:  # noqa: ANN401 - that is what JSON is
    """Return a body that is JSON; raises `Unavailable` when it is not."""
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise _unusable(response, "JSON") from error


def _is_html(text: str) -> bool:
    return text.startswith("<")


def _is_plain(text: str) -> bool:
    # What cannot be in a header cannot be a token either.
    return text.isascii() and text.isprintable()


def _unusable(response: httpx.Response, wanted: str) -> Unavailable:
    kind = "HTML" if _is_html(response.text.lstrip()) else "something else"
    return Unavailable(
        f"{response.request.method} {response.request.url}: {kind} instead of {wanted}"
        f"{_excerpt(response)}; is that URL really the pool's, and is there a proxy in between?"
    )
