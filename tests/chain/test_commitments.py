from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iexec_worker.chain import commitments
from iexec_worker.chain.wallet import Wallet


def naive_lenient_hex(text: str) -> bytes:
    """web3j's decoder once more, written by index and with 8-bit arithmetic."""
    start = 2 if text[:2] == "0x" else 0
    result = []
    position = start

    def digit(index: int) -> int:
        code = ord(text[index])
        for low, high, base in ((48, 57, 0), (97, 102, 10), (65, 70, 10)):
            if low <= code <= high:
                return code - low + base
        return -1

    if (len(text) - start) % 2 == 1:
        result.append(digit(position) % 256)
        position += 1
    while position < len(text):
        result.append((16 * digit(position) + digit(position + 1)) % 256)
        position += 2
    return bytes(result)


#: What the decoder tells apart, and letters and digits that only look like those of hex.
ODD = "0123456789abcdefABCDEFxXgGzZ /:@`\0éß٣３ａ𝟘"


@given(st.text(ODD))
@example("0x")
@example("0xf")
@example("0x0x")
@example("x")
@example("zz")
@example("٣٣")
def test_the_lenient_decoder_reads_any_text_as_the_pool_does(text: str) -> None:
    assert commitments.lenient_hex(text) == naive_lenient_hex(text)


@given(st.binary())
def test_the_lenient_decoder_reads_real_hex_as_hex(data: bytes) -> None:
    assert commitments.lenient_hex("0x" + data.hex()) == data


def test_a_challenge_that_begins_with_0x_is_shorter() -> None:
    challenge = "0x" + 41 * "A" + "="

    assert len(commitments.lenient_hex(challenge)) == 21


def test_login_vector(vectors: dict[str, Any]) -> None:
    login, wallet = vectors["login"], Wallet.from_key(vectors["key"])

    assert "0x" + commitments.lenient_hex(login["challenge"]).hex() == login["lenient_hex_bytes"]
    assert commitments.login_hash(login["challenge"]) == login["hash"]
    assert wallet.sign_hash(login["hash"]) == login["signature_not_prefixed"]


def test_authorization_vector(vectors: dict[str, Any]) -> None:
    given_, wallet = vectors["workerpool_authorization"], Wallet.from_key(vectors["key"])
    hashed = commitments.authorization_hash(
        given_["worker"], given_["task"], given_["enclave_challenge"]
    )

    assert hashed == given_["hash"]
    assert wallet.sign_prefixed(hashed) == given_["signature_prefixed"]
    assert commitments.recover_prefixed(hashed, given_["signature_prefixed"]) == wallet.address


def test_contribution_vector(vectors: dict[str, Any]) -> None:
    given_ = vectors["contribution"]
    worker, task, digest = given_["worker"], given_["task"], given_["digest"]
    hashed = commitments.result_hash(task, digest)
    seal = commitments.result_seal(worker, task, digest)

    assert hashed == given_["result_hash"]
    assert seal == given_["result_seal"]
    assert commitments.concat_and_hash(hashed, seal) == given_["enclave_signed_hash"]
    assert commitments.enclave_hash(worker, task, digest) == given_["enclave_signed_hash"]


def test_callback_and_secret_vectors(vectors: dict[str, Any]) -> None:
    callback, secret = vectors["callback_authorization"], vectors["sms_web2_secret"]
    domain = commitments.keccak(b"IEXEC_SMS_DOMAIN")

    assert commitments.callback_hash(callback["task"], callback["worker"]) == callback["hash"]
    assert domain == secret["domain_hash"]


def test_a_task_id_is_the_hash_of_deal_and_index() -> None:
    deal = "0x" + 32 * "ab"

    assert commitments.task_id(deal, 258) == commitments.concat_and_hash(deal, f"{258:064x}")


def test_nothing_is_hashed_as_no_bytes() -> None:
    empty = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

    assert commitments.concat_and_hash() == empty
    assert commitments.concat_and_hash("", "0x") == empty


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0x",
        "0x" + 64 * "11",
        "0x" + 65 * "00",
        "0x" + 64 * "ff" + "1b",
        "0x" + 64 * "11" + "01",
    ],
    ids=["empty", "no bytes", "64 bytes", "v 0", "off the curve", "v 1"],
)
def test_signatures_that_the_contracts_refuse_are_refused(signature: str) -> None:
    with pytest.raises(ValueError, match="signature"):
        commitments.recover_prefixed("0x" + 64 * "a", signature)


def test_another_key_is_another_address(vectors: dict[str, Any]) -> None:
    stranger = Wallet.from_key("0x" + 64 * "2")
    hashed = vectors["workerpool_authorization"]["hash"]

    assert commitments.recover_prefixed(hashed, stranger.sign_prefixed(hashed)) == stranger.address
    assert stranger.address != vectors["address"]
