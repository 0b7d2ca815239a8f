"""Hosts an operator names: the entries of `NO_PROXY`, and what they cover. Nothing is resolved."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LAST_PORT = 65535


@frozen
class Bypass:
    """One entry of `NO_PROXY`. *name* begins with a dot when only subdomains are meant."""

    name: str = ""
    network: Network | None = None
    port: int | None = None

    def covers(self, host: str, address: Address | None, port: int) -> bool:
        """True iff *host*, which is *address* when it is no name, is reached without a proxy."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        if self.name in ("*", host):
            return True
        return address is None and host.endswith(f".{self.name.removeprefix('.')}")


def parse_bypass(text: str) -> Bypass:
    """
    Parse one entry: `*`, a name (with its subdomains), a `.suffix`, an address, a network.

    All but a network may be followed by `:port`. Raises ValueError for a bad network or port.
    """
    text = text.lower()
    if "/" in text:
        return Bypass(network=ipaddress.ip_network(text, strict=False))
    host, port = _split_port(text)
    if (address := _address(host)) is not None:
        return Bypass(network=ipaddress.ip_network(address), port=port)
    # `*.example` is how some write `.example`.
    return Bypass(name=host if host == "*" else host.removeprefix("*"), port=port)


def is_direct(host: str, port: int, bypasses: Collection[Bypass]) -> bool:
    """
    True iff *host*:*port* is reached without a proxy: loopback, or in *bypasses*.

    Names are compared as names; they are not resolved to be looked for in networks.
    """
    host = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    address = _address(host)
    loopback = address.is_loopback if address else (host.rpartition(".")[2] == "localhost")
    return loopback or any(bypass.covers(host, address, port) for bypass in bypasses)


def _split_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text, None
    if not 0 < int(port) <= _LAST_PORT:
        raise ValueError(text)
    return host, int(port)


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
