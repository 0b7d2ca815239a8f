from __future__ import annotations

import hashlib
import io
import json
import zipfile

import pytest
from eth_utils.crypto import keccak

from iexec_worker.devpool import ipfs
from iexec_worker.devpool.results.digest import BadArchive, digest


def packed(computed: object, **files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("computed.json", json.dumps(computed))
        for name, content in files.items():
            zipped.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_of_a_file_it_is_its_sha256() -> None:
    archive = packed({"deterministic-output-path": "/iexec_out/out"}, out=b"x")

    assert digest(archive) == "0x" + sha(b"x").hex()


def test_of_a_folder_it_hashes_the_children_in_order_and_no_deeper() -> None:
    path = {"deterministic-output-path": "/iexec_out/d"}
    archive = packed(path, d__b=b"2", d__a=b"1", d__sub__c=b"3", e=b"4")

    assert digest(archive) == "0x" + keccak(sha(b"1") + sha(b"2")).hex()


def test_of_iexec_out_itself_it_includes_computed_json() -> None:
    path = {"deterministic-output-path": "/iexec_out"}
    archive = packed(path, a=b"1")

    expected = keccak(sha(b"1") + sha(json.dumps(path).encode()))
    assert digest(archive) == "0x" + expected.hex()


def test_of_callback_data_it_is_the_keccak() -> None:
    assert digest(packed({"callback-data": "0x1234"})) == "0x" + keccak(b"\x12\x34").hex()


@pytest.mark.parametrize(
    "archive",
    [
        b"no zip",
        packed([]),
        packed({}),
        packed({"deterministic-output-path": "/etc/passwd"}),
        packed({"deterministic-output-path": "/iexec_out/missing"}),
        packed({"callback-data": "0xzz"}),
    ],
)
def test_without_what_it_needs_there_is_none(archive: bytes) -> None:
    with pytest.raises(BadArchive):
        digest(archive)


def test_a_cid_has_the_form_of_version_0() -> None:
    assert ipfs.cid(b"").startswith("Qm")
    assert len(ipfs.cid(b"hello")) == 46
    assert ipfs.base58(b"\0\0\x01") == "112"
