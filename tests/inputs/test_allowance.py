from __future__ import annotations

from ipaddress import ip_address

import pytest

from iexec_worker.inputs.allowance import parse_allowance


@pytest.mark.parametrize(
    ("text", "host", "address", "port"),
    [
        ("nas.lan", "NAS.lan.", "10.0.0.9", 80),
        ("nas.lan:8080", "nas.lan", "10.0.0.9", 8080),
        ("10.0.0.9", "anything", "10.0.0.9", 80),
        ("10.0.0.9:81", "anything", "10.0.0.9", 81),
        ("10.0.0.0/8", "anything", "10.2.3.4", 80),
        ("fd00::/8", "anything", "fd12::1", 80),
        ("[::1]:81", "anything", "::1", 81),
        ("::1", "anything", "::1", 81),
    ],
)
def test_an_entry_covers_what_it_names(text: str, host: str, address: str, port: int) -> None:
    assert parse_allowance(text).covers(host, ip_address(address), port)


@pytest.mark.parametrize(
    ("text", "host", "address", "port"),
    [
        ("nas.lan", "evil.nas.lan", "10.0.0.9", 80),
        ("nas.lan:8080", "nas.lan", "10.0.0.9", 80),
        ("10.0.0.9:81", "anything", "10.0.0.9", 80),
        ("10.0.0.0/8", "10.0.0.1", "11.0.0.1", 80),
        ("0.0.0.0/0", "anything", "::1", 80),
    ],
)
def test_an_entry_covers_nothing_else(text: str, host: str, address: str, port: int) -> None:
    assert not parse_allowance(text).covers(host, ip_address(address), port)
