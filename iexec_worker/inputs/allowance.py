"""The operator's exceptions: private hosts that strangers' URLs may reach. Sans-IO."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from iexec_worker.inputs.addresses import Address


@frozen
class Allowance:
    """One entry: a host's name, an address or a network, with one port or (None) all."""

    name: str
    network: IPv4Network | IPv6Network | None
    port: int | None

    def covers(self, host: str, address: Address, port: int) -> bool:
        """Tell whether *address*, found under the name *host*, may be contacted at *port*."""
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return self.covers_name(host, port)
        return address.version == self.network.version and address in self.network

    def covers_name(self, host: str, port: int) -> bool:
        """Tell whether the name *host* itself is allowed at *port*, wherever it leads."""
        wanted = self.network is None and self.name == host.lower().rstrip(".")
        return wanted and self.port in (None, port)


def parse_allowance(text: str) -> Allowance:
    """Read `host`, `address`, `network/bits`, each also with `:port` (IPv6: `[address]:port`)."""
    text = text.strip().lower()
    name, port = text, None
    head, colon, tail = text.rpartition(":")
    if colon and tail.isdecimal() and (":" not in head or head.endswith("]")):
        name, port = head, int(tail)
    name = name.strip("[]").rstrip(".")
    try:
        return Allowance(name, ip_network(name, strict=False), port)
    except ValueError:
        return Allowance(name, None, port)
