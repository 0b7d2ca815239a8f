from __future__ import annotations

import ipaddress

import pytest

from iexec_worker.engine.networks.rules import PRIVATE, Rules, nameservers

RULES = Rules("iexec-0", "IEXEC-0")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.1.1",
        "224.0.0.251",
        "255.255.255.255",
    ],
)
def test_what_is_not_on_the_internet_is_denied(address: str) -> None:
    assert any(ipaddress.ip_address(address) in ipaddress.ip_network(net) for net in PRIVATE)


@pytest.mark.parametrize("address", ["1.1.1.1", "100.128.0.1", "172.32.0.1", "192.167.0.1"])
def test_the_internet_is_not_denied(address: str) -> None:
    assert not any(ipaddress.ip_address(address) in ipaddress.ip_network(net) for net in PRIVATE)


def test_nameservers_are_allowed_for_dns_only_and_before_anything_is_denied() -> None:
    lines = RULES.ipv4("raw", {"192.168.1.1"}).splitlines()

    assert lines[:2] == ["*raw", ":IEXEC-0 - [0:0]"]
    assert lines[2] == "-A IEXEC-0 -d 192.168.1.1/32 -p udp -m udp --dport 53 -j RETURN"
    assert [line.rpartition(" ")[2] for line in lines[2:6]] == ["RETURN", "RETURN", "DROP", "DROP"]
    assert lines[-1] == "COMMIT"


def test_nothing_passes_by_ipv6() -> None:
    assert RULES.ipv6("raw").splitlines()[2:] == ["-A IEXEC-0 -j DROP", "COMMIT"]


def test_a_listing_tells_whether_the_rules_are_there() -> None:
    listing = "-P PREROUTING ACCEPT\n-A PREROUTING -i iexec-0 -j IEXEC-0\n-A IEXEC-0 -j DROP\n"

    assert RULES.held(listing) == (True, ("-A IEXEC-0 -j DROP",))
    assert RULES.held("-A PREROUTING -i iexec-1 -j IEXEC-1\n-A IEXEC-1 -j DROP") == (False, ())


def test_nameservers_that_containers_can_ask_are_read() -> None:
    lines = ("# nameserver 9.9.9.9", "nameserver 192.168.1.1", "nameserver 127.0.0.53")
    text = "\n".join((*lines, "nameserver fe80::1%2", "options edns0", "nameserver"))

    assert nameservers(text) == {"192.168.1.1"}
