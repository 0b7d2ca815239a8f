from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.config.hosts import is_direct, parse_bypass


@pytest.mark.parametrize(
    ("entry", "direct", "proxied"),
    [
        ("*", ["a.example", "10.0.0.1"], []),
        ("example.com", ["example.com", "EXAMPLE.com.", "a.example.com"], ["badexample.com"]),
        (".example.com", ["a.example.com", "a.b.example.com"], ["example.com", "xexample.com"]),
        ("*.example.com", ["a.example.com"], ["example.com"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4", "x.10.1.2.3.example"]),
        ("10.0.0.0/8", ["10.255.0.1"], ["11.0.0.1", "ten.example", "fd00::1"]),
        ("10.9.9.9/8", ["10.0.0.1"], ["11.0.0.1"]),
        ("fd00::/8", ["fd12::1", "[fd12::1]"], ["fe80::1"]),
        ("fd12::1", ["fd12:0::1"], ["fd12::2"]),
    ],
)
def test_an_entry_of_no_proxy_covers(entry: str, direct: list[str], proxied: list[str]) -> None:
    bypasses = [parse_bypass(entry)]

    assert [host for host in direct if not is_direct(host, 80, bypasses)] == []
    assert [host for host in proxied if is_direct(host, 80, bypasses)] == []


@pytest.mark.parametrize("entry", ["node.example:8545", "10.0.0.1:8545", "[fd00::1]:8545"])
def test_an_entry_with_a_port_covers_that_port_only(entry: str) -> None:
    host = entry.rpartition(":")[0]

    assert is_direct(host, 8545, [parse_bypass(entry)])
    assert not is_direct(host, 80, [parse_bypass(entry)])


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "a.localhost", "127.8.9.1", "[::1]"])
def test_loopback_has_many_names(host: str) -> None:
    assert is_direct(host, 80, [])


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 32))
def test_networks_cover_the_addresses_in_them(
    host: ipaddress.IPv4Address | ipaddress.IPv6Address,
    base: ipaddress.IPv4Address | ipaddress.IPv6Address,
    prefix: int,
) -> None:
    network = ipaddress.ip_network(f"{base}/{prefix}", strict=False)

    covered = is_direct(str(host), 80, [parse_bypass(str(network))])
    assert covered == (host in network or host.is_loopback)
