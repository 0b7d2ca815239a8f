"""One file from one URL: streamed to the disk, hashed on the way, within limits."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import trio
from attrs import frozen

from iexec_worker.errors import Declined, DownloadFailed, Rejected, Unavailable
from iexec_worker.inputs.guard import check_scheme
from iexec_worker.inputs.partial import RESERVE, partial_file
from iexec_worker.transport import raw_body, shown, why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHUNK: Final = 1024**2
"""Bytes per write: large enough that the hop to a thread does not count."""

MAX_REDIRECTS: Final = 5

_PASSING: Final = frozenset({408, 425, 429})
"""Refusals that ask to be tried again."""


@frozen
class Limits:
    """
    What the downloads of one task may take: *max_bytes* together. Each of them:

    *stall*: seconds without a byte. A server that sends, but too little, is given up when it
    stays below *slowest* bytes/s on average once *grace* seconds have passed. *reserve*: bytes
    of the disk that stay free.
    """

    max_bytes: int
    stall: float = 60.0
    grace: float = 600.0
    slowest: float = 65_536.0
    reserve: int = RESERVE


@frozen
class Downloaded:
    """A file that arrived; *sha256* as `0x` hex, *size* in bytes."""

    path: Path
    sha256: str
    size: int


def _ignore(done: int, total: int | None) -> None:
    """Nobody watches."""


@frozen
class Downloader:
    """
    Fetches strangers' URLs through *client*, whose transports must be guarded ones.

    One request per hop and no retries.
    """

    client: httpx.AsyncClient
    limits: Limits

    async def fetch(
        self,
        url: str,
        into: Path,
        name: str,
        progress: Callable[[int, int | None], None] = _ignore,
        *,
        taken: int = 0,
    ) -> Downloaded:
        """
        Download *url* to the file *name* in folder *into*; *progress* gets bytes (done, total).
        Of the bytes that are allowed, *taken* are those of the task's other files.

        The bytes are those that the server sent: a content encoding is not undone, so that the
        digest is that of the original worker. Cancelled or failed, nothing stays on the disk.

        Raises `Unavailable` when another try may succeed (no connection, 5xx, stalled, cut off),
        `DownloadFailed` when it would not, and `Declined` when it has no room here.
        """
        target = _parse(url)
        try:
            with trio.CancelScope() as scope:
                pace = _Pace(scope, self.limits, progress)
                return await self._fetch(target, into / name, pace, taken)
        except DownloadFailed as error:
            raise DownloadFailed(f"{shown(target)}: {error}") from error
        except Rejected as error:
            raise DownloadFailed(str(error)) from error
        except httpx.HTTPError as error:
            raise Unavailable(f"{shown(target)} could not be fetched: {why(error)}") from error
        except httpx.InvalidURL as error:
            # httpx reads some of what a redirect may name (`data:,x`) only to refuse it here.
            raise DownloadFailed(f"{shown(target)}: redirects to what is no URL") from error
        except Declined as error:
            raise Declined(f"{shown(target)}: {error}") from error
        except OSError as error:
            raise Declined(f"{shown(target)} cannot be saved: {error}") from error
        raise Unavailable(
            f"{shown(target)} is too slow: under {self.limits.slowest:g} bytes/s"
            f" after {self.limits.grace:g} s"
        )

    async def _fetch(self, url: httpx.URL, path: Path, pace: _Pace, taken: int) -> Downloaded:
        async with self._open(url) as response:
            _check_status(url, response)
            total = _announced(response)
            self._require_room(taken + (total or 0))
            with partial_file(path, self.limits.reserve) as file:
                await trio.to_thread.run_sync(file.require, total or 0)
                async with raw_body(response, CHUNK) as chunks:
                    async for chunk in chunks:
                        self._require_room(taken + file.size + len(chunk))
                        await trio.to_thread.run_sync(file.write, chunk)
                        pace.advance(file.size, total)
                if not file.size:
                    raise DownloadFailed("the file is empty")
                await trio.to_thread.run_sync(file.commit)
                return Downloaded(path, file.sha256, file.size)

    @asynccontextmanager
    async def _open(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """Follow redirects by hand: httpx would read the body of each, however long, first."""
        request = self.client.build_request(
            "GET",
            url,
            headers={"Accept": "*/*", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(self.limits.stall, connect=min(15.0, self.limits.stall)),
        )
        for _ in range(MAX_REDIRECTS + 1):
            response = await self.client.send(request, stream=True, follow_redirects=False)
            try:
                if response.next_request is None:
                    yield response
                    return
                request = response.next_request
            finally:
                await response.aclose()
        raise DownloadFailed(f"more than {MAX_REDIRECTS} redirects")

    def _require_room(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise Declined(
                f"larger than the {self.limits.max_bytes} bytes that a task's inputs may have"
            )


class _Pace:
    """Moves the deadline of *scope* on with every byte that arrives."""

    def __init__(
        self,
        scope: trio.CancelScope,
        limits: Limits,
        progress: Callable[[int, int | None], None],
    ) -> None:
        self._scope = scope
        self._slowest = limits.slowest
        self._begin = trio.current_time() + limits.grace
        self._progress = progress
        scope.deadline = self._begin

    def advance(self, done: int, total: int | None) -> None:
        self._scope.deadline = self._begin + done / self._slowest
        self._progress(done, total)


def _parse(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.strip())
        check_scheme(url)
    except (httpx.InvalidURL, ValueError):
        # Neither the text nor what the parser says of it: either may hold a password.
        raise DownloadFailed("the address is not a valid URL") from None
    except Rejected as error:
        raise DownloadFailed(str(error)) from error
    return url


def _announced(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _check_status(url: httpx.URL, response: httpx.Response) -> None:
    if response.is_success:
        return
    if response.is_server_error or response.status_code in _PASSING:
        raise Unavailable(f"{shown(url)} could not be fetched: status {response.status_code}")
    raise DownloadFailed(f"the server answered {response.status_code}")
