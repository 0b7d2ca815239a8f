"""The addresses of a Docker network: is it one of its containers that calls?"""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from attrs import frozen

from iexec_worker.engine.networks.named import named

if TYPE_CHECKING:
    from docker import APIClient

    from iexec_worker.engine.client import Engine


@frozen
class Subnet:
    """
    Addresses that the engine gives to containers on a network.

    *gateways* are the host's own on it. What reaches a container through a port that the engine
    publishes may have one of them for its sender, whoever sent it.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    gateways: frozenset[IPv4Address | IPv6Address] = frozenset()

    def has(self, address: str) -> bool:
        """True iff *address* is one of a container; False for what is no address."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        # A server that listens on all addresses of both kinds sees those of IPv4 like this.
        found = getattr(found, "ipv4_mapped", None) or found
        return found not in self.gateways and any(found in network for network in self.networks)


async def subnet(engine: Engine, name: str) -> Subnet:
    """Return the addresses of the network *name*; none when there is no such network."""
    return await engine.call(partial(_subnet, name=name))


def _subnet(api: APIClient, name: str) -> Subnet:
    pools: list[dict[str, Any]] = [
        pool for network in named(api, name) for pool in network["IPAM"]["Config"] or []
    ]
    gateways = (pool.get("Gateway", "").partition("/")[0] for pool in pools)
    return Subnet(
        tuple(ip_network(pool["Subnet"]) for pool in pools if pool.get("Subnet")),
        frozenset(ip_address(gateway) for gateway in gateways if gateway),
    )
