"""Which IP addresses are the public internet's. Sans-IO but for `is_own`."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

# `is_global` follows the tables of one Python release, and none of them counts what leads to
# another address: a relay or a tunnel may end anywhere, also in a private network.
_REFUSED: Final = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, DS-Lite and NAT64 discovery among them
        "192.88.99.0/24",  # relays from 6to4
        "2001::/23",  # protocol assignments; Teredo carries an IPv4 address
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",  # documentation, newer than some tables
    )
)


def is_public(address: Address) -> bool:
    """
    Tell whether *address* is a public host's.

    Not public: private, loopback, link-local, CGNAT, multicast, documentation, reserved,
    IPv4-mapped and -compatible, 6to4 and Teredo. A NAT64 address is judged by the IPv4 address
    that the translator will contact.
    """
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    if any(address.version == net.version and address in net for net in _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_own(address: Address) -> bool:
    """
    Tell whether *address* belongs to this machine: only then can a socket be bound to it.

    A machine's own public address leads past the firewall in front of it.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def literal(host: str) -> Address | None:
    """
    Return the address that *host* spells, None when it is a name.

    Octal, hexadecimal and shortened IPv4 (`0177.1`, `0x7f000001`, `2130706433`) count as what
    resolvers take them for.
    """
    host = host.strip("[]").rstrip(".")
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None
