"""One HTTP request at a time, of which only success is an answer."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds that a server may be silent.
_LIMIT: Final = 60
_OK: Final = range(200, 300)


class NoAnswer(Exception):
    """Raised when there was no answer, or one that is no success."""


def ask(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """The body of the answer; raises `NoAnswer`. There is no TLS in the images."""
    place = urlsplit(url)
    path = f"{place.path}?{place.query}" if place.query else place.path
    if place.scheme != "http" or not place.hostname:
        raise NoAnswer(f"{url} is not an http URL")
    try:
        line = http.client.HTTPConnection(place.hostname, place.port, timeout=_LIMIT)
        try:
            line.request(method, path or "/", body, dict(headers or {}))
            answer = line.getresponse()
            content = answer.read()
        finally:
            line.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoAnswer(f"{method} {url}: {type(error).__name__} {error}") from error
    if answer.status not in _OK:
        raise NoAnswer(f"{method} {url}: {answer.status}")
    return content
