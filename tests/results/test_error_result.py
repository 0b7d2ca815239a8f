from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from iexec_worker.results import computed_file, error_result, link
from iexec_worker.results.digest import digest
from iexec_worker.results.tree import Limits
from iexec_worker.wire import Cause, Status

if TYPE_CHECKING:
    from pathlib import Path

OLD = (
    "[IEXEC] Error occurred while computing the task "
    "[error:APP_DOWNLOAD_FAILED, cause:APP_IMAGE_DOWNLOAD_FAILED]"
)
MIDDLE = (
    "[IEXEC] Errors occurred while computing the task "
    "[error:APP_DOWNLOAD_FAILED, causes:[APP_IMAGE_DOWNLOAD_FAILED]]"
)
NEW = (
    "[IEXEC] Errors occurred while computing the task [error:APP_DOWNLOAD_FAILED, "
    "causes:[WorkflowError[cause=APP_IMAGE_DOWNLOAD_FAILED, message=]]]"
)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("8.6.0", OLD),
        ("8.10.1", OLD),
        ("9.0.0-SNAPSHOT", OLD),
        ("9.1.2", MIDDLE),
        ("9.2.0", NEW),
        ("9.10.0", NEW),
        ("10.0.0", NEW),
        ("unknown", NEW),
    ],
)
def test_the_error_is_written_as_the_workers_of_the_pool_write_it(version: str, text: str) -> None:
    found = error_result.error_bytes(
        Status.APP_DOWNLOAD_FAILED, Cause.APP_IMAGE_DOWNLOAD_FAILED, version
    )
    assert found == text.encode()


async def test_the_error_is_a_result_like_any_other(tmp_path: Path) -> None:
    output, out = tmp_path / "output", tmp_path / "output" / "iexec_out"
    args = (Status.DATA_DOWNLOAD_FAILED, Cause.DATASET_FILE_BAD_CHECKSUM, "9.1.0")
    await trio.to_thread.run_sync(error_result.write, out, *args)
    assert json.loads((out / "computed.json").read_bytes()) == {
        "deterministic-output-path": "/iexec_out/error.txt"
    }
    computed = await trio.to_thread.run_sync(computed_file.read, out)
    found = await trio.to_thread.run_sync(
        partial(digest, computed, output, Limits(), callback=False)
    )
    assert found == "0x" + hashlib.sha256(error_result.error_bytes(*args)).hexdigest()


async def test_writing_follows_no_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "canary").write_bytes(b"canary")
    for name in ("error.txt", ".error.txt.part", "computed.json"):
        (out / name).symlink_to(tmp_path / "canary")
    args = (Status.APP_DOWNLOAD_FAILED, Cause.APP_IMAGE_DOWNLOAD_FAILED, "9.3.0")
    await trio.to_thread.run_sync(error_result.write, out, *args)
    assert (tmp_path / "canary").read_bytes() == b"canary"
    assert (out / "error.txt").read_bytes() == NEW.encode()


def test_links_have_these_exact_bytes() -> None:
    assert link.ipfs_link("Qm1") == '{ "storage": "ipfs", "location": "/ipfs/Qm1" }'
    assert link.dropbox_link("0xab") == '{ "storage": "dropbox", "location": "/results/0xab" }'
    assert link.ethereum_link("0xcd") == '{ "storage": "ethereum", "location": "0xcd" }'
