"""
What URLs and servers that a requester chooses can do: nothing.

Each attack is tried on the download of an input and on the result proxy that a deal may name,
which are behind the same guard. A service on the loopback and a file must stay untouched.
"""

from __future__ import annotations

import gzip
import os
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest
import trio

from iexec_worker.config import Outbound
from iexec_worker.errors import Declined, DownloadFailed, Rejected, Unauthorized, Unavailable
from iexec_worker.inputs.guard import Guard
from iexec_worker.results.proxy import ResultProxy
from iexec_worker.transport import make_client
from tests.hostile.inputs import CANARY, Lab, open_lab
from tests.inputs.conftest import names_in, ok, redirect, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[trio.abc.Stream], Awaitable[None]]

REFUSALS: Final = (Declined, DownloadFailed, Rejected, Unauthorized, Unavailable)

HEAD: Final = b"HTTP/1.1 200 OK\r\n"

#: Seconds; every attack is over long before.
LIMIT: Final = 20


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with open_lab(tmp_path) as opened:
        yield opened


async def refused_everywhere(lab: Lab, url: str) -> None:
    """Use *url* as an input's and as a proxy's: both end in an error that they document."""
    with trio.fail_after(LIMIT):
        with pytest.raises(REFUSALS):
            await lab.downloader.fetch(url, lab.folder, "file")
        with pytest.raises(REFUSALS):
            await lab.proxy_at(url).version()
    assert lab.untouched()
    assert not names_in(lab.folder)


#: Spellings of addresses where only the host's own services are.
SPELLINGS: Final = (
    *("127.0.0.1", "127.0.0.2", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"),
    *("017700000001", "0", "0.0.0.0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "127.0.0.1."),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"),
    *("①②⑦.⓪.⓪.①", "127。0。0。1", "１２７.0.0.1", "localhost", "LOCALHOST", "localhost."),
    *("user@127.0.0.1", "user:password@127.0.0.1", "a.test@127.0.0.1", "127.0.0.1%00"),
    *("127.0.0.1%2f@a.test", "[::1%25lo]", "[fe80::1%25lo]", "169.254.169.254", "[fd00:ec2::254]"),
)


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_an_address_leads_to_the_host(lab: Lab, host: str) -> None:
    lab.names.book |= {name: [["127.0.0.1"]] for name in ("localhost", "localhost.")}
    await refused_everywhere(lab, f"http://{host}:{lab.private.port}/")


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_redirect_leads_to_the_host(lab: Lab, host: str) -> None:
    lab.names.book |= {name: [["127.0.0.1"]] for name in ("localhost", "localhost.")}
    target = f"http://{host}:{lab.private.port}/"
    lab.origin.answers["/"] = lab.origin.answers["/version"] = redirect(target)
    await refused_everywhere(lab, lab.origin.url("/"))


@pytest.mark.parametrize(
    "url",
    [
        *("file://{canary}", "file://localhost{canary}", "FILE://{canary}", "{canary}"),
        *("ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/_GET", "data:,canary"),
        *("data:text/plain;base64,Y2FuYXJ5", "dict://127.0.0.1:{port}/", "ldap://127.0.0.1:{port}"),
        *("jar:file://{canary}", "ws://127.0.0.1:{port}/", "unix://{canary}", "javascript:1", ""),
        *("http:{canary}", "http:///{canary}", "//127.0.0.1:{port}/", "http://\n127.0.0.1:{port}/"),
        *("http:\\\\127.0.0.1:{port}\\", "http://a.test\\@127.0.0.1:{port}/", "\x1b[31mhttp://"),
    ],
)
async def test_nothing_but_http_is_fetched(lab: Lab, url: str) -> None:
    lab.names.book["a.test"] = [["10.0.0.1"]]
    url = url.format(canary=lab.canary, port=lab.private.port)
    await refused_everywhere(lab, url)
    if url.isprintable():
        lab.origin.answers["/"] = lab.origin.answers["/version"] = redirect(url)
        lab.origin.answers["//"] = ok(b"")
        await refused_everywhere(lab, lab.origin.url("/"))


async def test_a_name_that_changes_its_address_is_contacted_where_it_was_checked(lab: Lab) -> None:
    lab.origin.answers["/"] = redirect(f"http://rebind.test:{lab.private.port}/")
    # Judged by the first answer, a second question would lead to the host.
    lab.names.book["rebind.test"] = [["192.0.2.1"], ["127.0.0.1"]]
    await refused_everywhere(lab, lab.origin.url("/"))
    lab.names.book["mixed.test"] = [["8.8.8.8", "127.0.0.1"]]
    await refused_everywhere(lab, f"http://mixed.test:{lab.private.port}/")


async def test_a_checked_name_does_not_open_other_ports(lab: Lab) -> None:
    lab.origin.answers["/"] = redirect(f"http://127.0.0.1:{lab.private.port}/")
    await refused_everywhere(lab, lab.origin.url("/"))


async def endless_body(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"\r\n")
    while True:
        await stream.send_all(bytes(65_536))


async def endless_chunks(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"1\r\nx\r\n")


async def endless_chunks_of_a_megabyte(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"100000\r\n" + bytes(0x100000) + b"\r\n")


async def one_byte_a_second(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Content-Length: 1000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.1)  # to patience of a second what a second is to that of ten


async def head_that_drips(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD)
    while True:
        await stream.send_all(b"X: y\r\n")
        await trio.sleep(0.1)


async def header_bomb(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD)
    while True:
        await stream.send_all(b"X-%d: " % trio.current_time() + 65_536 * b"x" + b"\r\n")


async def one_endless_header(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"X: ")
    while True:
        await stream.send_all(65_536 * b"x")


async def endless_trailers(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    while True:
        await stream.send_all(1000 * b"X: y\r\n")


async def endless_chunk_extension(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;")
    while True:
        await stream.send_all(65_536 * b"x")


async def endless_promises(stream: trio.abc.Stream) -> None:
    while True:
        await stream.send_all(b"HTTP/1.1 102 Processing\r\n\r\n")
        await trio.sleep(0.01)


async def silence(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def redirect_without_an_end(stream: trio.abc.Stream) -> None:
    await stream.send_all(redirect("/"))


async def cut_off(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Content-Length: 1000\r\n\r\nx")


async def a_length_of_thousands_of_digits(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Content-Length: " + 5000 * b"9" + b"\r\n\r\nx")


async def two_lengths(stream: trio.abc.Stream) -> None:
    await stream.send_all(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")


async def another_protocol(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")


async def garbage(stream: trio.abc.Stream) -> None:
    await stream.send_all(bytes(range(256)) * 100)


@pytest.mark.parametrize(
    "attack",
    [
        *(endless_body, endless_chunks, one_byte_a_second, head_that_drips, header_bomb),
        *(one_endless_header, endless_trailers, endless_chunk_extension, endless_promises),
        *(silence, redirect_without_an_end, cut_off, a_length_of_thousands_of_digits),
        *(two_lengths, another_protocol, garbage),
    ],
    ids=lambda attack: attack.__name__,
)
async def test_a_server_without_an_end_or_manners_is_given_up(lab: Lab, attack: Serve) -> None:
    lab.origin.answers["/"] = lab.origin.answers["/version"] = attack
    tracemalloc.start()
    try:
        await refused_everywhere(lab, lab.origin.url("/"))
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
async def test_a_disk_is_left_room_while_a_body_without_an_end_arrives(lab: Lab) -> None:
    lab.origin.answers["/"] = endless_chunks_of_a_megabyte
    await trio.run_process(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(lab.folder)])
    try:
        (lab.folder / "neighbour").write_bytes(CANARY)
        with trio.fail_after(LIMIT), pytest.raises(Declined, match="full after"):
            await lab.patient(reserve=4_000_000).fetch(lab.origin.url("/"), lab.folder, "file")
        assert names_in(lab.folder) == ["neighbour"]
        assert (lab.folder / "neighbour").read_bytes() == CANARY
    finally:
        await trio.run_process(["umount", "--lazy", str(lab.folder)])
    assert lab.untouched()


async def test_a_gzip_bomb_stays_packed(lab: Lab) -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    lab.origin.answers["/"] = ok(bomb, "Content-Encoding: gzip")
    lab.origin.answers["/version"] = ok(bomb, "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        file = await lab.patient().fetch(lab.origin.url("/"), lab.folder, "file")
        with pytest.raises(REFUSALS):
            await lab.proxy.version()
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert file.path.read_bytes() == bomb


async def test_credentials_of_a_url_go_nowhere_else(lab: Lab) -> None:
    secret = "s3cret-of-a-requester"
    lab.origin.answers["/"] = redirect(f"http://127.0.0.2:{lab.private.port}/?{secret}")
    url = lab.origin.url(f"/?key={secret}#x").replace("//", f"//user:{secret}@", 1)
    lab.origin.answers[f"/?key={secret}"] = lab.origin.answers["/"]
    with pytest.raises(REFUSALS) as caught:
        await lab.downloader.fetch(url, lab.folder, "file")
    assert secret not in str(caught.value)
    for proxy in (url, f"http://user:{secret}@127.0.0.1:{lab.private.port}", f"http://a:{secret}"):
        with pytest.raises(REFUSALS) as caught:
            await lab.proxy_at(proxy).version()
        assert secret not in str(caught.value)
    assert lab.untouched()


@pytest.mark.parametrize(
    "name", ["a\nb", "a\r\nHost: x", "a\x1b[31m", "a\u202eb", "a\x00b", "\x9b"]
)
async def test_what_acts_on_a_terminal_is_in_no_error(lab: Lab, name: str) -> None:
    for url in (f"http://{name}.test/", f"http://a.test/{name}", lab.origin.url(f"/{name}")):
        with pytest.raises(REFUSALS) as caught:
            await lab.downloader.fetch(url, lab.folder, "file")
        assert str(caught.value).isprintable()
    assert len(lab.origin.requests) <= 1


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\u202eb", "\x9b", 100_000 * "x"])
async def test_the_name_of_a_result_proxy_cannot_act_in_an_error(lab: Lab, name: str) -> None:
    lab.origin.answers["/version"] = status(403)
    for url in (f"http://{name}a.test", lab.origin.url(f"/{name}"), f"http://[{name}", name):
        with pytest.raises(REFUSALS) as caught:
            await lab.proxy_at(url).version()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000


async def test_a_body_is_not_taken_for_the_answer_to_another_request(lab: Lab) -> None:
    smuggled = ok(b"data") + ok(b"smuggled")
    lab.origin.answers["/"] = smuggled
    for _ in range(2):
        file = await lab.patient().fetch(lab.origin.url("/"), lab.folder, "file")
        assert file.path.read_bytes() == b"data"


async def test_the_guard_of_the_clients_stands_before_any_address(lab: Lab) -> None:
    """As an SMS's will be: a client of strangers' addresses takes no private one."""
    async with make_client(Outbound(), timeout=1, wrap=Guard().wrap) as client:
        with pytest.raises(Rejected, match="not public"):
            await client.post(f"http://127.0.0.1:{lab.private.port}/", content=b"secret")
        with pytest.raises(REFUSALS):
            await ResultProxy(client, f"http://127.0.0.1:{lab.private.port}").version()
    assert lab.untouched()
