from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.model import ComputedFile
from iexec_worker.results import computed_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"deterministic-output-path": "/iexec_out/x"}', ComputedFile("/iexec_out/x")),
        (b'{"callback-data": "0x01", "new": [1]}', ComputedFile(callback_data="0x01")),
        (b'\xef\xbb\xbf {"callback-data": "0x01"}', ComputedFile(callback_data="0x01")),
        ('{"callback-data": "0x01"}'.encode("utf-16"), ComputedFile(callback_data="0x01")),
        (b'{"callback-data": null}\n{"more": 1}', ComputedFile()),
        (b"{}", ComputedFile()),
        (
            b'{"result-digest": "0x1", "enclave-signature": "0x2", "task-id": "0x3"}',
            ComputedFile(),
        ),
    ],
)
def test_only_the_place_of_the_result_is_believed(content: bytes, expected: ComputedFile) -> None:
    assert computed_file.parse(content) == expected


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff\xfe\xff", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": ' + 5000 * b"9" + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (500_000 * b"[", "too deeply"),
        (b'{"a":' * 100_000, "too deeply"),
        (b'{"callback-data": 1}', "callback-data is not text"),
        (b'{"deterministic-output-path": ["/"]}', "deterministic-output-path is not text"),
    ],
)
def test_what_is_no_computed_file_says_why(content: bytes, fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        computed_file.parse(content)


async def test_the_copy_is_what_the_app_wrote(out: Path, output: Path) -> None:
    (out / "computed.json").write_bytes(b'{"callback-data": "0x01"}')
    await trio.to_thread.run_sync(computed_file.copy, out, output)
    (out / "computed.json").unlink()
    read = await trio.to_thread.run_sync(computed_file.read, output)
    assert read == ComputedFile(callback_data="0x01")


async def test_a_missing_file_is_an_os_error(out: Path, output: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await trio.to_thread.run_sync(computed_file.copy, out, output)


async def test_a_file_of_one_mebibyte_is_read_and_no_larger_one(out: Path) -> None:
    path = out / "computed.json"
    path.write_bytes(b"{}" + (computed_file.MAX_BYTES - 2) * b" ")
    assert await trio.to_thread.run_sync(computed_file.read, out) == ComputedFile()
    path.write_bytes(b"{}" + (computed_file.MAX_BYTES - 1) * b" ")
    with pytest.raises(ValueError, match="larger than 1048576 bytes"):
        await trio.to_thread.run_sync(computed_file.read, out)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "device"])
async def test_only_a_regular_file_is_opened(out: Path, tmp_path: Path, kind: str) -> None:
    path = out / "computed.json"
    (tmp_path / "canary.json").write_bytes(b"{}")
    match kind:
        case "link":
            path.symlink_to(tmp_path / "canary.json")
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case _ if os.geteuid() == 0:
            os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
        case _:
            pytest.skip("only root makes devices")
    with trio.fail_after(2), pytest.raises(ValueError, match=re.escape("computed.json")):
        await trio.to_thread.run_sync(computed_file.read, out)
