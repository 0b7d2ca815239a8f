from __future__ import annotations

import hashlib
import os
import random
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from eth_hash.auto import keccak

from iexec_worker.model import ComputedFile
from iexec_worker.results.digest import digest
from iexec_worker.results.tree import Limits

from .trees import TREES, grow, plain_digest, without_links

if TYPE_CHECKING:
    from pathlib import Path


NOTHING = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


async def of_path(output: Path, path: str) -> str:
    computed = ComputedFile(deterministic_output_path=path)
    return await trio.to_thread.run_sync(
        partial(digest, computed, output, Limits(), callback=False)
    )


async def of_data(output: Path, data: str) -> str:
    computed = ComputedFile(callback_data=data)
    return await trio.to_thread.run_sync(partial(digest, computed, output, Limits(), callback=True))


@pytest.mark.parametrize(
    "path", ["/iexec_out/result.txt", "//iexec_out/./result.txt", "/iexec_out/result.txt/"]
)
async def test_a_file_gives_its_sha256(out: Path, output: Path, path: str) -> None:
    (out / "result.txt").write_bytes(b"result")
    assert await of_path(output, path) == "0x" + hashlib.sha256(b"result").hexdigest()


async def test_a_folder_gives_the_keccak_of_its_files_hashes(out: Path, output: Path) -> None:
    # U+FFEE comes after U+1F600 in UTF-16, before it in UTF-8 and by code point.
    for name in ("\uffee", "\U0001f600", "a"):
        (out / name).write_text(name)
    (out / "folder").mkdir()
    (out / "folder" / "file").write_text("does not count")
    hashes = [hashlib.sha256(name.encode()).digest() for name in ("a", "\U0001f600", "\uffee")]
    assert await of_path(output, "/iexec_out") == "0x" + keccak(b"".join(hashes)).hex()


async def test_an_empty_folder_gives_the_keccak_of_nothing(output: Path) -> None:
    assert await of_path(output, "/iexec_out/") == NOTHING


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ("0x0123", b"\x01\x23"),
        ("0123", b"\x01\x23"),
        ("0x123", b"\x01\x23"),
        ("0xAb", b"\xab"),
        ("0x", b""),
    ],
)
async def test_callback_data_give_their_keccak(output: Path, data: str, content: bytes) -> None:
    assert await of_data(output, data) == "0x" + keccak(content).hex()


@pytest.mark.parametrize("data", ["", "0xzz", "0x1 2", "hello", "0X01", "0x1\u0661"])
async def test_callback_data_must_be_hexadecimal(output: Path, data: str) -> None:
    with pytest.raises(ValueError, match="callback-data"):
        await of_data(output, data)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "iexec_out/result.txt",
        "/computed.json",
        "/iexec_out.zip",
        "/iexec_out/../computed.json",
        "/iexec_out/folder/../result.txt",
        "/../canary",
        "/etc/passwd",
        "/iexec_out/\0",
        "/iexec_out/\ud800",
    ],
)
async def test_no_path_leaves_the_folder(out: Path, output: Path, path: str) -> None:
    (out / "folder").mkdir()
    for file in (out / "result.txt", output / "computed.json", output / "iexec_out.zip"):
        file.write_bytes(b"data")
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        await of_path(output, path)


async def test_a_missing_path_is_an_os_error(output: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await of_path(output, "/iexec_out/missing")


@pytest.mark.parametrize("path", ["/iexec_out/link", "/iexec_out/dirlink/canary", "/iexec_out"])
async def test_no_link_is_followed(out: Path, output: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "canary").write_bytes(b"canary")
    (out / "link").symlink_to(tmp_path / "secret" / "canary")
    (out / "dirlink").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="link"):
        await of_path(output, path)


@pytest.mark.parametrize("path", ["/iexec_out/fifo", "/iexec_out"])
async def test_a_fifo_does_not_block(out: Path, output: Path, path: str) -> None:
    os.mkfifo(out / "fifo")
    with trio.fail_after(2), pytest.raises(ValueError, match="neither a regular file"):
        await of_path(output, path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
async def test_a_device_is_not_read(out: Path, output: Path) -> None:
    os.mknod(out / "zero", 0o20666, os.makedev(1, 5))
    with trio.fail_after(2), pytest.raises(ValueError, match="neither a regular file"):
        await of_path(output, "/iexec_out/zero")


@pytest.mark.slow
async def test_random_folders_give_what_a_plain_reading_gives(out: Path, output: Path) -> None:
    for seed in range(TREES):
        folder = out / str(seed)
        folder.mkdir()
        grow(folder, random.Random(seed))
        without_links(folder)
        found = await of_path(output, f"/iexec_out/{seed}")
        assert found == plain_digest(folder), f"seed {seed}"


async def test_a_long_hash_ends_soon_after_it_is_cancelled(out: Path, output: Path) -> None:
    with (out / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with trio.fail_after(5), trio.move_on_after(0.05) as scope:
        await of_path(output, "/iexec_out/sparse")
    assert scope.cancelled_caught
