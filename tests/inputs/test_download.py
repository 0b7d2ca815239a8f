from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.errors import Declined, DownloadFailed, Unavailable
from iexec_worker.inputs.download import Limits

from .conftest import names_in, ok, redirect, status

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.inputs.download import Downloader

    from .conftest import Downloaders, Origin


async def test_a_file_arrives_whole_with_its_digest_and_progress(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    body = bytes(range(256)) * 12_000
    origin.answers["/data"] = ok(body)
    seen: list[tuple[int, int | None]] = []
    file = await downloader.fetch(
        origin.url("/data"), tmp_path, "name", lambda done, total: seen.append((done, total))
    )
    assert (tmp_path / "name").read_bytes() == body
    assert file.sha256 == "0x" + hashlib.sha256(body).hexdigest()
    assert file.size == len(body)
    assert seen[-1] == (len(body), len(body))
    assert len(seen) == 3
    assert names_in(tmp_path) == ["name"]


async def test_redirects_are_followed_five_times(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    for number in range(6):
        origin.answers[f"/{number}"] = redirect(f"/{number + 1}")
    origin.answers["/6"] = ok(b"data")
    assert (await downloader.fetch(origin.url("/1"), tmp_path, "file")).size == 4
    with pytest.raises(DownloadFailed, match="more than 5 redirects"):
        await downloader.fetch(origin.url("/0"), tmp_path, "file")


async def test_the_body_of_a_redirect_is_not_read(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    async def endless(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\n")
        while True:
            await stream.send_all(bytes(65536))

    origin.answers["/"] = endless
    origin.answers["/next"] = ok(b"data")
    with trio.fail_after(5):
        assert (await downloader.fetch(origin.url("/"), tmp_path, "file")).size == 4


async def test_bytes_are_kept_as_they_were_sent(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    packed = gzip.compress(bytes(10_000_000))
    origin.answers["/"] = ok(packed, "Content-Encoding: gzip")
    file = await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert file.size == len(packed)
    assert "Accept-Encoding: identity" in origin.requests[0]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_over_the_limit_is_given_up(
    origin: Origin, downloaders: Downloaders, tmp_path: Path, announced: bool
) -> None:
    body = bytes(2_000_001)
    origin.answers["/"] = ok(body) if announced else b"HTTP/1.1 200 OK\r\n\r\n" + body
    downloader = downloaders("127.0.0.1", limits=Limits(max_bytes=2_000_000))
    with pytest.raises(Declined, match="larger than the 2000000 bytes"):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert not names_in(tmp_path)


async def test_what_other_files_of_the_task_have_taken_is_not_there_any_more(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(bytes(100))
    downloader = downloaders("127.0.0.1", limits=Limits(max_bytes=1000))
    await downloader.fetch(origin.url("/"), tmp_path, "file", taken=900)
    with pytest.raises(Declined, match="a task's inputs may have"):
        await downloader.fetch(origin.url("/"), tmp_path, "file", taken=901)


@pytest.mark.parametrize("target", ["data:,x", "javascript:x", "http://[::1"])
async def test_a_redirect_to_what_is_no_url_is_a_failed_download(
    origin: Origin, downloader: Downloader, tmp_path: Path, target: str
) -> None:
    origin.answers["/"] = redirect(target)
    with pytest.raises((Declined, DownloadFailed, Unavailable)):
        await downloader.fetch(origin.url("/"), tmp_path, "file")


async def test_an_empty_file_is_a_failed_download(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"")
    with pytest.raises(DownloadFailed, match="empty"):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert not names_in(tmp_path)


async def test_a_server_that_falls_silent_is_given_up(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    async def silent(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        await trio.sleep_forever()

    origin.answers["/"] = silent
    downloader = downloaders("127.0.0.1", limits=Limits(max_bytes=1000, stall=0.1))
    with trio.fail_after(5), pytest.raises(Unavailable, match="ReadTimeout"):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert not names_in(tmp_path)


async def test_a_server_that_drips_is_given_up(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    async def drip(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x")
            await trio.sleep(0.01)

    origin.answers["/"] = drip
    downloader = downloaders("127.0.0.1", limits=Limits(max_bytes=1000, grace=0.2))
    with trio.fail_after(5), pytest.raises(Unavailable, match="too slow"):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert not names_in(tmp_path)


async def test_a_cancelled_download_leaves_nothing(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    with trio.CancelScope() as scope:

        async def begin(stream: trio.abc.Stream) -> None:
            await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(2_000_000))
            await trio.sleep_forever()

        origin.answers["/"] = begin
        await downloader.fetch(
            origin.url("/"), tmp_path, "file", lambda done, total: scope.cancel()
        )
    assert scope.cancelled_caught
    assert not names_in(tmp_path)


async def test_a_body_cut_off_may_be_whole_next_time(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    origin.answers["/"] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome"
    with pytest.raises(Unavailable, match="RemoteProtocolError"):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert not names_in(tmp_path)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(404, DownloadFailed), (403, DownloadFailed), (500, Unavailable), (429, Unavailable)],
)
async def test_a_status_says_whether_to_try_again(
    origin: Origin, downloader: Downloader, tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    origin.answers["/"] = status(code)
    with pytest.raises(kind, match=str(code)):
        await downloader.fetch(origin.url("/"), tmp_path, "file")


async def test_a_head_without_an_end_is_given_up(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    async def bomb(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n")
        while True:
            await stream.send_all(b"X: " + bytes([120]) * 65536 + b"\r\n")

    origin.answers["/"] = bomb
    with trio.fail_after(5), pytest.raises(Unavailable):
        await downloader.fetch(origin.url("/"), tmp_path, "file")


async def test_a_full_disk_is_said(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"data")
    downloader = downloaders("127.0.0.1", limits=Limits(max_bytes=1000, reserve=2**62))
    with pytest.raises(Declined, match=r"disk of .* is full.*free some space"):
        await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert not names_in(tmp_path)


async def test_a_folder_that_is_missing_is_said(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"data")
    with pytest.raises(Declined, match="cannot be saved"):
        await downloader.fetch(origin.url("/"), tmp_path / "missing", "file")


async def test_what_an_earlier_process_left_is_replaced(
    origin: Origin, downloader: Downloader, tmp_path: Path
) -> None:
    origin.answers["/"] = ok(b"data")
    (tmp_path / "canary").write_bytes(b"canary")
    (tmp_path / ".file.part").symlink_to(tmp_path / "canary")
    await downloader.fetch(origin.url("/"), tmp_path, "file")
    assert (tmp_path / "canary").read_bytes() == b"canary"
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize(
    "url", ["http://user:secret@127.0.0.1:{}/x?k=secret", "http://a:secret@h:99x"]
)
async def test_no_error_repeats_a_secret(
    origin: Origin, downloader: Downloader, tmp_path: Path, url: str
) -> None:
    with pytest.raises(DownloadFailed) as caught:
        await downloader.fetch(url.format(origin.port), tmp_path, "file")
    assert "secret" not in str(caught.value)


async def test_credentials_of_a_url_are_sent_to_its_server_only(
    origin: Origin, downloaders: Downloaders, tmp_path: Path
) -> None:
    origin.answers["/"] = redirect(origin.url("/next", "localhost"))
    origin.answers["/next"] = ok(b"data")
    downloader = downloaders("127.0.0.1", "::1")
    url = origin.url("/").replace("//", "//user:secret@")
    await downloader.fetch(url, tmp_path, "file")
    assert "Authorization: Basic" in origin.requests[0]
    assert "Authorization" not in origin.requests[1]
