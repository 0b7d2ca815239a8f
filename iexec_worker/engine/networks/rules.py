"""
What a bridge's containers may not reach, in the words of iptables. Sans-IO.

The rules stand where packets arrive (PREROUTING), before anything is routed or translated: one
place for what goes to this host, through it, or to a neighbour on the bridge. They stay when the
engine restarts, which only knows its own chains of other tables.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PRIVATE: Final = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
"""What IANA's registry of special-purpose addresses keeps from the internet: private networks,
link-local ones with the metadata services of clouds, carriers' NAT, documentation, multicast."""

ENTRY: Final = "PREROUTING"

_DNS: Final = 53


@frozen
class Rules:
    """The rules of *bridge*, in a *chain* of their own, which *entry* jumps to."""

    bridge: str
    chain: str

    @property
    def jump(self) -> tuple[str, ...]:
        """The rule that leads into the chain."""
        return (ENTRY, "-i", self.bridge, "-j", self.chain)

    def ipv4(self, table: str, nameservers: Iterable[str]) -> str:
        """
        Return the chain, for `iptables-restore --noflush`: made anew in one step.

        *nameservers* are those that the engine asks for its containers, from their side: they may
        be private, or on this host.
        """
        return self._restore(table, [*_allowed(nameservers), *_denied()])

    def ipv6(self, table: str) -> str:
        """Return the same for IPv6, which the bridge does not have: nothing passes."""
        return self._restore(table, ["-j DROP"])

    def held(self, listing: str) -> tuple[bool, tuple[str, ...]]:
        """Read from all rules of a table: whether there is a jump, and what the chain holds."""
        lines = listing.splitlines()
        ours = tuple(line for line in lines if line.startswith(f"-A {self.chain} "))
        return f"-A {' '.join(self.jump)}" in lines, ours

    def _restore(self, table: str, rules: Iterable[str]) -> str:
        lines = [f"-A {self.chain} {rule}" for rule in rules]
        return "\n".join([f"*{table}", f":{self.chain} - [0:0]", *lines, "COMMIT", ""])


def _allowed(nameservers: Iterable[str]) -> Iterator[str]:
    for address in sorted(set(nameservers)):
        for protocol in ("udp", "tcp"):
            yield f"-d {address}/32 -p {protocol} -m {protocol} --dport {_DNS} -j RETURN"


def _denied() -> Iterator[str]:
    # Whatever addresses this host has, public ones too.
    yield "-m addrtype --dst-type LOCAL -j DROP"
    for network in PRIVATE:
        yield f"-d {network} -j DROP"


def nameservers(resolv_conf: str) -> set[str]:
    """
    Read the IPv4 nameservers of a `resolv.conf` that containers can ask.

    Those on loopback the engine asks itself.
    """
    words = (line.split() for line in resolv_conf.splitlines())
    named = {line[1] for line in words if len(line) > 1 and line[0] == "nameserver"}
    return {name for name in named if _reachable(name)}


def _reachable(name: str) -> bool:
    try:
        return not ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False
