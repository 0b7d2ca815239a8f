from __future__ import annotations

import pytest

from iexec_worker.chain.multiaddress import base58, decode_multiaddress

HASH = "QmW2WQi7j6c7UgJTarActp7tDNikE4B2qXtFCfLPdsgaTQ"
MULTIHASH = bytes.fromhex("122074410577111096cd817a3faed78630f2245636beded412d3b212a2e09ba593ca")


def test_a_binary_ipfs_address_is_a_path() -> None:
    assert decode_multiaddress(b"\xa5\x03\x22" + MULTIHASH) == "/ipfs/" + base58(MULTIHASH)
    assert base58(MULTIHASH).startswith("Qm")
    assert len(base58(MULTIHASH)) == len(HASH)


def test_base58_known_values() -> None:
    assert base58(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert base58(b"\0\0\x28\x7f\xb4\xcd") == "11233QC4"


def test_a_binary_address_with_a_cid_of_version_1_is_base32() -> None:
    cid = b"\x01\x70" + MULTIHASH

    assert decode_multiaddress(b"\xa5\x03\x24" + cid).startswith("/ipfs/bafybei")


@pytest.mark.parametrize(
    "text",
    ["https://example.com/data.zip", f"/ipfs/{HASH}", "", "registry/image:1.0"],
)
def test_text_stays_text(text: str) -> None:
    assert decode_multiaddress(text.encode()) == text


def test_the_younger_name_of_the_protocol_becomes_the_path_of_gateways() -> None:
    assert decode_multiaddress(f"/p2p/{HASH}".encode()) == f"/ipfs/{HASH}"


@pytest.mark.parametrize("raw", [b"\xa5\x03", b"\xa5\x03\x22", b"\xa5\x03\x22short", b"\xff"])
def test_broken_bytes_are_read_without_failing(raw: bytes) -> None:
    assert not decode_multiaddress(raw).startswith("/ipfs/")
