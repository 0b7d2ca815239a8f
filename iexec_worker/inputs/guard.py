"""
What stands before every URL that a stranger chose: http(s) to public hosts only.

A name is resolved here, all its addresses are checked, and the connection goes to a checked
address: a name that resolves differently a moment later (DNS rebinding) changes nothing.
With a proxy of the operator's it is the proxy that resolves; then names are judged as text.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self

import httpx
import trio
from attrs import field, frozen

from iexec_worker.errors import Rejected
from iexec_worker.inputs.addresses import is_own, is_public, literal
from iexec_worker.inputs.allowance import Allowance, parse_allowance
from iexec_worker.transport import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iexec_worker.inputs.addresses import Address

RESOLVE_WITHIN: Final = 15.0
"""Seconds; the system's resolver gives up on a dead server after 5, and has often two."""

MOST_TRIED: Final = 4
"""Addresses of one name that are tried: enough for a host without IPv6, no port scan."""

_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")

_PORTS: Final = {"http": 80, "https": 443}


def _allowances(texts: Iterable[str]) -> tuple[Allowance, ...]:
    return tuple(parse_allowance(text) for text in texts)


@frozen
class Guard:
    """*allowed*: hosts, addresses and networks that may be reached although not public."""

    allowed: tuple[Allowance, ...] = field(default=(), converter=_allowances)

    def check_name(self, url: httpx.URL) -> None:
        """Raise `Rejected` when the text of *url* alone says that it is local."""
        check_scheme(url)
        host, port = _target(url)
        address = literal(host)
        if address is not None:
            self.check_address(url, address)
        elif not any(a.covers_name(host, port) for a in self.allowed):
            name = host.rstrip(".").lower()
            if "." not in name or name.endswith(_LOCAL_SUFFIXES):
                raise _refusal(url, "is a name of a local network")

    def check_address(self, url: httpx.URL, address: Address) -> None:
        """Raise `Rejected` unless *address*, where *url* leads, may be contacted."""
        host, port = _target(url)
        if any(a.covers(host, address, port) for a in self.allowed):
            return
        if not is_public(address):
            raise _refusal(url, f"leads to {address}, which is not public")
        if is_own(address):
            raise _refusal(url, f"leads to {address}, which is this machine")

    async def addresses(self, url: httpx.URL) -> tuple[str, ...]:
        """
        Resolve the host of *url*; every address found is checked.

        Raises `Rejected` when one of them may not be contacted, `httpx.ConnectError` when the
        name has none, `httpx.ConnectTimeout` when the resolver takes too long.
        """
        check_scheme(url)
        found = await _resolve(*_target(url))
        for address in found:
            self.check_address(url, ip_address(address))
        return found[:MOST_TRIED]

    def wrap(self, inner: httpx.AsyncBaseTransport, proxied: bool) -> httpx.AsyncBaseTransport:
        """Stand before *inner*, which goes through the operator's proxy or (False) directly."""
        kind = GuardedProxyTransport if proxied else GuardedTransport
        return kind(inner, self)


class GuardedTransport(httpx.AsyncBaseTransport):
    """
    Sends each request to a checked address, under the name it was meant for.

    Every hop of a redirect passes here again. The request's body must not have been read when a
    connection fails, which holds for httpx's streams.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer from the first address that takes the connection."""
        failure: httpx.TransportError = httpx.ConnectError("the name has no address")
        for address in await self._guard.addresses(request.url):
            try:
                response = await self._inner.handle_async_request(_pinned(request, address))
                return _forgotten(response)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    async def __aenter__(self) -> Self:
        """Open the transport below."""
        await self._inner.__aenter__()
        return self

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._inner.aclose()


class GuardedProxyTransport(GuardedTransport):
    """For requests that go through the operator's proxy: checks what the URL's text tells."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass the request on as it is."""
        self._guard.check_name(request.url)
        return _forgotten(await self._inner.handle_async_request(request))


def check_scheme(url: httpx.URL) -> None:
    """Raise `Rejected` unless *url* is http(s) and names a host."""
    if url.scheme not in _PORTS or not url.host:
        raise Rejected(f"{shown(url)} is refused: only http and https are fetched")


def _target(url: httpx.URL) -> tuple[str, int]:
    return url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]


def _refusal(url: httpx.URL, fact: str) -> Rejected:
    return Rejected(
        f"{shown(url)} {fact}; an operator can allow it in IEXEC_WORKER_ALLOWED_PRIVATE_HOSTS"
    )


async def _resolve(host: str, port: int) -> tuple[str, ...]:
    try:
        with trio.fail_after(RESOLVE_WITHIN):
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except trio.TooSlowError:
        raise httpx.ConnectTimeout(f"{host} was not resolved in {RESOLVE_WITHIN:g} s") from None
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"{host} cannot be resolved: {error}") from error
    # `dict` keeps the resolver's order of preference.
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _forgotten(response: httpx.Response) -> httpx.Response:
    """*response* without cookies: the client would send them along for the next task."""
    response.headers.pop("Set-Cookie", None)
    return response


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """*request*, sent to *address*; its Host header and its TLS name stay those of the URL."""
    headers = request.headers.copy()
    # The pool below knows connections by address only: one that is reused could carry a request
    # for a name that its certificate was never checked for.
    headers["Connection"] = "close"
    extensions = dict(request.extensions)
    if literal(request.url.host) is None:
        extensions["sni_hostname"] = request.url.raw_host.decode("ascii")
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=headers,
        stream=request.stream,
        extensions=extensions,
    )
