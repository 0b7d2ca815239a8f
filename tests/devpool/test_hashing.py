from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iexec_worker.devpool.chain import hashing

Vectors = dict[str, Any]
VECTORS = Path(__file__).parent.parent / "vectors"


@pytest.fixture
def vectors() -> Vectors:
    vectors: Vectors = json.loads((VECTORS / "signatures.json").read_text())
    return vectors


def test_the_challenge_is_read_as_if_it_were_hex(vectors: Vectors) -> None:
    login = vectors["login"]

    assert "0x" + hashing.lenient_bytes(login["challenge"]).hex() == login["lenient_hex_bytes"]
    assert hashing.login_hash(login["challenge"]) == login["hash"]


def test_an_odd_challenge_and_one_that_begins_with_0x_are_read_too() -> None:
    assert hashing.lenient_bytes("abc") == b"\x0a\xbc"
    assert hashing.lenient_bytes("0xzz1") == bytes([0xFF, (-16 + 1) & 0xFF])


def test_a_login_counts_whatever_its_v(vectors: Vectors) -> None:
    login = vectors["login"]
    signature = login["signature_not_prefixed"]

    for v in ("00", "1b", "1c", "ff"):
        signed = signature[:-2] + v
        assert hashing.signed_login(login["challenge"], signed, vectors["address"])
    assert not hashing.signed_login(login["challenge"], "0x" + 130 * "0", vectors["address"])
    assert not hashing.signed_login(login["challenge"], "0x12", vectors["address"])


def test_a_prefixed_signature_needs_v_27_or_28(vectors: Vectors) -> None:
    known = vectors["workerpool_authorization"]
    authorized = hashing.concat_and_hash(known["worker"], known["task"], known["enclave_challenge"])

    assert authorized == known["hash"]
    signature = known["signature_prefixed"]
    assert hashing.signed_prefixed(authorized, signature, vectors["address"])
    assert not hashing.signed_prefixed(authorized, signature[:-2] + "01", vectors["address"])
    assert not hashing.signed_prefixed(authorized, signature, "0x" + 40 * "1")


def test_a_web2_secret_is_signed_by_its_hashes(vectors: Vectors) -> None:
    challenge = hashing.web2_challenge(vectors["address"], "iexec-result-iexec-ipfs-token", "token")

    assert challenge == "0x9ec618f2c56d68169adf323a8032124494306a0fd939ad3f562caa09bcd2d292"
