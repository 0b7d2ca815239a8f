"""HTTP clients: one way out for all of them, through the configured proxies and no others."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Final

import httpx
import trio

from iexec_worker import __version__
from iexec_worker.config.hosts import is_direct, parse_bypass

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Collection

    from iexec_worker.config import Proxies

    Wrap = Callable[[httpx.AsyncBaseTransport, bool], httpx.AsyncBaseTransport]

USER_AGENT: Final = f"iexec-worker/{__version__}"

# WebSockets are opened by an HTTP request and take the way of one.
_PROXIED_LIKE: Final = {"ws": "http", "wss": "https"}
_PORTS: Final = {"http": 80, "https": 443}

_LONGEST_SHOWN: Final = 200


def _as_it_is(transport: httpx.AsyncBaseTransport, proxied: bool) -> httpx.AsyncBaseTransport:  # noqa: ARG001 - the default wraps nothing
    return transport


def make_client(
    proxies: Proxies,
    *,
    timeout: httpx.Timeout | float,
    direct: Collection[str] = (),
    wrap: Wrap = _as_it_is,
) -> httpx.AsyncClient:
    """
    Make a client that uses *proxies*, but none for loopback, `NO_PROXY` and *direct*.

    *direct* has the syntax of `NO_PROXY`; *timeout* is in seconds. *wrap* gets each transport,
    and whether it goes through a proxy, and returns the one to use: the guard of strangers' URLs
    stands there. Nothing is read from the environment. The caller closes the client.
    """
    return httpx.AsyncClient(
        transport=_Router(proxies, direct, wrap),
        timeout=timeout,
        trust_env=False,
        headers={"User-Agent": USER_AGENT},
    )


@asynccontextmanager
async def raw_body(
    response: httpx.Response, chunk_size: int | None = None
) -> AsyncIterator[AsyncIterator[bytes]]:
    """
    Stream the body of *response* as it was sent; it may be left before its end.

    Decompressed, a short body could be without an end.
    """
    chunks = response.aiter_raw(chunk_size)
    try:
        yield chunks
    finally:
        # httpx stacks half a dozen generators and closes only the outermost. Cancelled where it
        # waits for bytes, the innermost unwinds them all; what came before that does not matter.
        with suppress(httpx.HTTPError), trio.CancelScope() as scope:
            scope.cancel()
            async for _ in chunks:
                pass


def shown(url: httpx.URL) -> str:
    """*url* as it may be printed: no credentials, no query (which may sign a request), no end."""
    text = str(url.copy_with(userinfo=b"", query=None, fragment=None))
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


@cache
def _tls() -> ssl.SSLContext:
    """One for all clients: loading the root certificates is what is slow about a client."""
    return httpx.create_ssl_context(trust_env=False)


class _Router(httpx.AsyncBaseTransport):
    # httpx's own `mounts` select by scheme, name and port; they know no networks.
    def __init__(self, proxies: Proxies, direct: Collection[str], wrap: Wrap) -> None:
        self._bypasses = tuple(parse_bypass(text) for text in (*proxies.no_proxy, *direct))
        tls = _tls()
        self._direct = wrap(httpx.AsyncHTTPTransport(verify=tls, trust_env=False), False)
        self._proxied = {
            scheme: wrap(httpx.AsyncHTTPTransport(verify=tls, trust_env=False, proxy=proxy), True)
            for scheme, proxy in (("http", proxies.http), ("https", proxies.https))
            if proxy
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._way_to(request.url).handle_async_request(request)

    def _way_to(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        scheme = _PROXIED_LIKE.get(url.scheme, url.scheme)
        proxied = self._proxied.get(scheme)
        port = url.port or _PORTS.get(scheme, 0)
        if proxied is None or is_direct(url.host, port, self._bypasses):
            return self._direct
        return proxied

    async def aclose(self) -> None:
        for transport in (self._direct, *self._proxied.values()):
            await transport.aclose()
