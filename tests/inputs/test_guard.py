from __future__ import annotations

import ssl
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from iexec_worker.config import Outbound
from iexec_worker.errors import DownloadFailed, Rejected, Unavailable
from iexec_worker.inputs.guard import Guard, GuardedTransport

from .conftest import ok, redirect

if TYPE_CHECKING:
    from .conftest import Downloaders, Names, Origin

TLS = Path(__file__).parent / "tls"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0/",
    ],
)
async def test_no_spelling_of_a_local_address_is_fetched(
    downloaders: Downloaders, tmp_path: Path, url: str
) -> None:
    with pytest.raises(DownloadFailed, match=r"not public|not a valid URL"):
        await downloaders().fetch(url, tmp_path, "file")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://x/",
        "data:,x",
        "/etc/passwd",
        "",
        "http://",
    ],
)
async def test_only_http_is_fetched(downloaders: Downloaders, tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadFailed, match="only http and https"):
        await downloaders().fetch(url, tmp_path, "file")


async def test_a_name_is_refused_when_one_of_its_addresses_is_private(
    names: Names, downloaders: Downloaders, tmp_path: Path
) -> None:
    names.book["both.test"] = [["8.8.8.8", "10.0.0.1"]]
    with pytest.raises(DownloadFailed, match=r"leads to 10\.0\.0\.1"):
        await downloaders().fetch("http://both.test/", tmp_path, "file")


async def test_a_name_that_changes_its_address_is_contacted_where_it_was_checked(
    origin: Origin, names: Names, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"data")
    names.book["rebind.test"] = [["127.0.0.1"], ["169.254.169.254"]]
    file = await downloaders("127.0.0.1").fetch(origin.url("/", "rebind.test"), tmp_path, "file")
    assert file.size == 4
    assert f"Host: rebind.test:{origin.port}" in origin.requests[0]


async def test_the_next_address_is_tried_when_one_takes_no_connection(
    origin: Origin, names: Names, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"data")
    names.book["two.test"] = [["127.0.0.2", "127.0.0.1"]]
    allowed = downloaders("two.test")
    assert (await allowed.fetch(origin.url("/", "two.test"), tmp_path, "file")).size == 4


async def test_a_redirect_is_checked_like_the_first_url(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = redirect("http://127.0.0.2/")
    with pytest.raises(DownloadFailed, match=r"leads to 127\.0\.0\.2"):
        await downloaders("127.0.0.1").fetch(origin.url("/"), tmp_path, "file")
    origin.answers["/"] = redirect("file:///etc/passwd")
    with pytest.raises(DownloadFailed, match="only http and https"):
        await downloaders("127.0.0.1").fetch(origin.url("/"), tmp_path, "file")


async def test_a_name_without_an_address_may_have_one_later(
    downloaders: Downloaders, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="cannot be resolved"):
        await downloaders().fetch("http://nothing.invalid/", tmp_path, "file")


async def test_tls_names_the_host_although_the_connection_goes_to_an_address(
    names: Names,
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    names.book["files.test"] = names.book["other.test"] = [["127.0.0.1"]]

    async def handle(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.receive_some()
            await stream.send_all(ok(b"data"))
        except trio.BrokenResourceError:
            return  # the handshake was refused

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_ssl_over_tcp, handle, 0, server, host="127.0.0.1")
        )
        port = listeners[0].transport_listener.socket.getsockname()[1]
        trusted = ssl.create_default_context(cafile=TLS / "cert.pem")
        inner = httpx.AsyncHTTPTransport(verify=trusted)
        async with httpx.AsyncClient(
            transport=GuardedTransport(inner, Guard(["127.0.0.1"]))
        ) as client:
            assert (await client.get(f"https://files.test:{port}/")).content == b"data"
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://other.test:{port}/")
        nursery.cancel_scope.cancel()


async def test_the_operators_proxy_resolves_names_itself(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    url = "http://files.example.com/data"
    origin.answers[url] = ok(b"data")
    proxied = downloaders(proxies=Outbound(http_proxy=origin.url("")))
    assert (await proxied.fetch(url, tmp_path, "file")).size == 4


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "0x0a000001", "metadata", "metadata.google.internal", "printer.local."]
)
async def test_through_a_proxy_local_addresses_and_names_are_refused(
    origin: Origin, downloaders: Downloaders, tmp_path: Path, host: str
) -> None:
    proxied = downloaders(proxies=Outbound(http_proxy=origin.url("")))
    with pytest.raises(DownloadFailed, match="ALLOWED_PRIVATE_HOSTS"):
        await proxied.fetch(f"http://{host}/", tmp_path, "file")
    assert not origin.requests


async def test_a_name_that_bypasses_the_proxy_is_resolved_and_checked(
    origin: Origin, names: Names, downloaders: Downloaders, tmp_path: Path
) -> None:
    names.book["direct.test"] = [["10.0.0.1"]]
    proxied = downloaders(proxies=Outbound(http_proxy=origin.url(""), no_proxy=("direct.test",)))
    with pytest.raises(DownloadFailed, match="leads to"):
        await proxied.fetch("http://direct.test/", tmp_path, "file")


async def test_cookies_do_not_pass_from_one_download_to_the_next(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"data", "Set-Cookie: id=1")
    downloader = downloaders("127.0.0.1")
    for _ in range(2):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert "Cookie" not in origin.requests[1]


def test_the_machines_own_public_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # No test machine is sure to have a public address: one is declared to be.
    monkeypatch.setattr("iexec_worker.inputs.guard.is_own", lambda _: True)
    url = httpx.URL("http://8.8.8.8/")
    with pytest.raises(Rejected, match="is this machine"):
        Guard().check_address(url, ip_address("8.8.8.8"))
    Guard(["8.8.8.8"]).check_address(url, ip_address("8.8.8.8"))
