"""
HTTP clients: one way out for all of them, through the configured proxies and no others, to servers
whose certificates the operator trusts.
"""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Final

import httpx
import trio

from iexec_worker import __version__
from iexec_worker.config.hosts import is_direct, parse_bypass

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from pathlib import Path

    from iexec_worker.config import Outbound

    Wrap = Callable[[httpx.AsyncBaseTransport, bool], httpx.AsyncBaseTransport]

USER_AGENT: Final = f"iexec-worker/{__version__}"

# WebSockets are opened by an HTTP request and take the way of one.
_PROXIED_LIKE: Final = {"ws": "http", "wss": "https"}
_PORTS: Final = {"http": 80, "https": 443}

_LONGEST_SHOWN: Final = 200

_UNTRUSTED: Final = "; SSL_CERT_FILE names certificates that are to be trusted"


def _as_it_is(transport: httpx.AsyncBaseTransport, proxied: bool) -> httpx.AsyncBaseTransport:  # noqa: ARG001 - the default wraps nothing
    return transport


def make_client(
    outbound: Outbound,
    *,
    timeout: httpx.Timeout | float,
    direct: Collection[str] = (),
    wrap: Wrap = _as_it_is,
) -> httpx.AsyncClient:
    """
    Make a client that goes *outbound* as configured: without a proxy to loopback and *direct*.

    *direct* has the syntax of `NO_PROXY`; *timeout* is in seconds. *wrap* gets each transport,
    and whether it goes through a proxy, and returns the one to use: the guard of strangers' URLs
    stands there. Nothing is read from the environment. The caller closes the client.
    """
    return httpx.AsyncClient(
        transport=_Router(outbound, direct, wrap),
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


def why(error: BaseException) -> str:
    """Say what went wrong; httpx's own errors may have no text, those they come from have."""
    kind, fact = type(error).__name__, str(error)
    # httpcore raises its own without a cause: what it caught is their context.
    while not fact and (origin := error.__cause__ or error.__context__) is not None:
        error = origin
        # That a time-out is a cancellation inside says nothing.
        fact = "" if isinstance(error, trio.Cancelled) else str(error)
    fact = f"{kind}: {fact}" if fact else kind
    return fact + _UNTRUSTED if "CERTIFICATE_VERIFY_FAILED" in fact else fact


@cache
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """One for all clients: loading the root certificates is what is slow about a client."""
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=ca_file)


class _Router(httpx.AsyncBaseTransport):
    # httpx's own `mounts` select by scheme, name and port; they know no networks.
    def __init__(self, outbound: Outbound, direct: Collection[str], wrap: Wrap) -> None:
        self._bypasses = tuple(parse_bypass(text) for text in (*outbound.no_proxy, *direct))
        tls = _tls(outbound.ca_file)
        self._direct = wrap(httpx.AsyncHTTPTransport(verify=tls, trust_env=False), False)
        self._proxied = {
            scheme: wrap(httpx.AsyncHTTPTransport(verify=tls, trust_env=False, proxy=proxy), True)
            for scheme, proxy in (("http", outbound.http_proxy), ("https", outbound.https_proxy))
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
