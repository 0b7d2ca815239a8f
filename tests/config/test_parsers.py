from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta

import isodate  # type: ignore[import-untyped]  # ships no annotations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.config import parsers as p

EVERY_PARSER = [value for value in vars(p).values() if isinstance(value, p.Parser)]

REFUSED: list[tuple[p.Parser, list[str]]] = [
    (p.whole(), ["0", "-1", "1.0", "1,00", ",1", "1 000", "0x10", "²", "1e3", "9" * 30]),
    (p.DECIMAL, ["1,3", "-1", "nan", "inf", "1e400", ".", "one", "9" * 400]),
    (p.BOOLEAN, ["maybe", "2", "truee"]),
    (p.DURATION, ["5m", "300", "-PT5M", "P1M", "P1Y", "PT", "P1DT", "PT5", "five", "P9999999999D"]),
    (p.SPAN, ["PT0S"]),
    (p.ADDRESS, ["0x0", "0x" + "0" * 40, "0x" + "a" * 39, "a" * 40, "pool.eth"]),
    (p.SERVICE, ["ftp://core", "core:13000", "http://", "http://a b", "http://co\tre"]),
    (p.SERVICE, ["http://u:p@core", "http://core?x=1", "http://core:99999", "http://core:port"]),
    (p.SERVICE, ["http://core:0", "http://[::1"]),
    (p.HOST, ["http://core", "core:1", "a/b", "", "::zz"]),
    (p.HOSTS, ["10.0.0.0/99", "http://a", "a b", "a;b", "a:b", "a:0", "a:1:2", "a:70000"]),
    (p.EXACT_HOSTS, ["*", ".corp.example", "*.corp.example", "a b"]),
    (p.IP, ["localhost", "300.1.1.1"]),
    (p.ENGINE, ["/var/run/docker.sock", "ftp://x", "unix://", "ssh://me@host", "https://host"]),
    (p.NAME, ["a b", "../a", "-a", "", "é"]),
    (p.FOLDER, ["rel/ative", "/a:b", "~"]),
    (p.PROGRAM, ["agent", "./agent", "/a\nb"]),
    (p.EXTRA_HOSTS, ["a", "a:", ":1.2.3.4", "a b:1.2.3.4", "a:b", "a:1.2.3.4:5", "a=1.2.3.4"]),
    (p.TEXT, ["\udcff"]),
    (p.SECRET, ["\udcff"]),
    (p.SCONE_LEVEL, ["8", "-1", "de bug"]),
]


@pytest.mark.parametrize(("parser", "texts"), REFUSED)
def test_what_is_no_such_value_is_refused_with_what_is_one(
    parser: p.Parser, texts: list[str]
) -> None:
    for text in texts:
        with pytest.raises(ValueError, match=re.escape(parser.accepts)):
            pytest.fail(f"{text!r} is read as {parser.parse(text)!r}")


@given(st.integers(0, 2**63 - 1))
def test_whole_numbers_are_read_with_and_without_groups(number: int) -> None:
    parser = p.whole(0)

    assert parser.parse(str(number)) == parser.parse(f"{number:,}") == number


@given(st.floats(0, 1e15, allow_nan=False))
def test_decimals_are_read_with_a_dot(number: float) -> None:
    text = f"{number:.6f}"

    assert p.DECIMAL.parse(text) == float(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("True", True), ("TRUE", True), ("true", True), ("False", False), ("fAlse", False), ("0", 0)],
)
def test_booleans_are_read_in_any_case(text: str, value: bool) -> None:
    assert p.BOOLEAN.parse(text) is bool(value)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=1000)))
def test_durations_are_seconds(duration: timedelta) -> None:
    text = isodate.duration_isoformat(duration)

    assert p.DURATION.parse(text) == pytest.approx(duration.total_seconds(), abs=1)
    assert p.DURATION.parse(text.lower()) == p.DURATION.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT5M", 300), ("PT0.5S", 0.5), ("pt1h30m", 5400), ("P1DT1S", 86401), ("PT0S", 0)],
)
def test_durations_of_the_documentation(text: str, seconds: float) -> None:
    assert p.DURATION.parse(text) == seconds


@pytest.mark.parametrize("text", ["http://core:1/", "https://core.example", "http://[::1]:8/a/b"])
def test_urls_of_services_lose_their_last_slash(text: str) -> None:
    assert p.SERVICE.parse(text) == text.rstrip("/")


def test_a_proxy_without_a_scheme_is_an_http_proxy() -> None:
    assert p.PROXY.parse("proxy:3128") == "http://proxy:3128"
    assert p.PROXY.parse("http://u:p@proxy:3128/") == "http://u:p@proxy:3128"


def test_an_ipv6_host_is_bracketed() -> None:
    assert p.HOST.parse("::1") == p.HOST.parse("[::1]") == "[::1]"


def test_hosts_may_be_names_suffixes_ports_and_networks() -> None:
    text = "localhost, .corp.example ,10.0.0.0/8,[::1]:80,node:8545,*,"

    assert p.HOSTS.parse(text) == (
        *("localhost", ".corp.example", "10.0.0.0/8", "[::1]:80", "node:8545", "*"),
    )


@given(st.sampled_from(EVERY_PARSER), st.text(max_size=30))
def test_any_text_is_read_or_refused(parser: p.Parser, text: str) -> None:
    with suppress(ValueError):
        parser.parse(text)


def test_extra_hosts_have_addresses_of_both_kinds_or_the_engines_host() -> None:
    text = "cas:192.0.2.7, sps.example:2001:db8::7,pool:[::1],here:host-gateway"

    assert p.EXTRA_HOSTS.parse(text) == (
        ("cas", "192.0.2.7"),
        ("sps.example", "2001:db8::7"),
        ("pool", "::1"),
        ("here", "host-gateway"),
    )
