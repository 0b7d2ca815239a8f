"""The enclaves' own cryptography against the libraries and vectors."""

from __future__ import annotations

from eth_hash.auto import keccak as known_keccak
from eth_keys.datatypes import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from iexec_worker.devpool.chain.hashing import signed_prefixed
from iexec_worker.devpool.tee.enclave.keccak import keccak
from iexec_worker.devpool.tee.enclave.signing import OTHER_KEY, address, as_hex, hashed, sign

KEY = "0x" + 64 * "1"
TASK = "0x" + 32 * "ab"
WORKER = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@given(st.binary(max_size=500))
def test_hashes_are_those_of_the_library(data: bytes) -> None:
    assert keccak(data) == known_keccak(data)


def test_hashes_at_the_edges_of_blocks_are_those_of_the_library() -> None:
    for size in (0, 1, 134, 135, 136, 137, 271, 272, 273):
        assert keccak(bytes(size)) == known_keccak(bytes(size)), size


@settings(max_examples=20, deadline=None)
@given(st.integers(min_value=1, max_value=N - 1), st.binary(min_size=32, max_size=32))
def test_signatures_are_those_of_the_library(secret: int, message: bytes) -> None:
    key = PrivateKey(secret.to_bytes(32, "big"))
    prefixed = known_keccak(b"\x19Ethereum Signed Message:\n32" + message)
    known = key.sign_msg_hash(prefixed).to_bytes()

    signature = sign(hex(secret), message)

    assert signature == as_hex(known[:-1] + bytes([known[-1] + 27]))
    assert address(hex(secret)) == key.public_key.to_address()
    assert signed_prefixed(as_hex(message), signature, address(hex(secret)))


def test_signatures_and_hashes_are_those_of_the_vectors() -> None:
    challenge = "0x" + 40 * "0"
    assert as_hex(hashed(WORKER, TASK, challenge)) == (
        "0xfa09eecb3c75624107c577ca86cbbb7c785234836f8c8c3b6c536abd9cc38d54"
    )
    assert sign(KEY, hashed(WORKER, TASK, challenge)) == (
        "0xb272202588c58ba4e4fde55978673ff5170959f99e1f56c8e644ff952eef2f65"
        "6564279f3c955c6d8b74be3dcee94fd72e6078fc03d137c0e1508683a2571d421c"
    )
    assert as_hex(hashed(TASK, WORKER)) == (
        "0xde57c0e90504a13bb663a4b788efd388e3cc7fa01dd89098f5a907daabc12160"
    )
    digest = "0x" + 32 * "cd"
    result_hash, seal = as_hex(hashed(TASK, digest)), as_hex(hashed(WORKER, TASK, digest))
    assert as_hex(hashed(result_hash, seal)) == (
        "0x64822cade48312137c7f394c1992751c474e15e5a699393c5a5026b09a6fea60"
    )
    assert address(KEY) == WORKER


def test_the_other_key_is_another_one() -> None:
    message = hashed(TASK, WORKER)
    assert not signed_prefixed(as_hex(message), sign(OTHER_KEY, message), address(KEY))
