"""Hashes and signatures that pool, hub and worker must agree on. Sans-IO."""

from __future__ import annotations

from typing import Final

from eth_hash.auto import keccak as keccak_bytes
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

_PREFIX: Final = b"\x19Ethereum Signed Message:\n32"
_SIGNATURE_SIZE: Final = 65
_RECOVERY_IDS: Final = (27, 28)
_HEX_DIGITS: Final = {c: int(c, 16) for c in "0123456789abcdefABCDEF"}


def hex_bytes(text: str) -> bytes:
    """Decode `0x…` hex; an empty string is no bytes. Raises ValueError for anything else."""
    return bytes.fromhex(text.removeprefix("0x"))


def keccak(data: bytes) -> str:
    """keccak-256 as `0x` + lower-case hex."""
    return "0x" + keccak_bytes(data).hex()


def concat_and_hash(*parts: str) -> str:
    """keccak-256 of the concatenated bytes of hex strings; an empty string adds nothing."""
    return keccak(b"".join(map(hex_bytes, parts)))


def task_id(deal_id: str, index: int) -> str:
    """The chain task id of the task with *index* in a deal."""
    return keccak(hex_bytes(deal_id) + index.to_bytes(32, "big"))


def result_hash(chain_task_id: str, digest: str) -> str:
    """What a contribution shows of its result; equal for everybody with the same result."""
    return concat_and_hash(chain_task_id, digest)


def result_seal(worker: str, chain_task_id: str, digest: str) -> str:
    """What proves at the reveal that *worker* had the result when it contributed."""
    return concat_and_hash(worker, chain_task_id, digest)


def enclave_hash(worker: str, chain_task_id: str, digest: str) -> str:
    """What a task's enclave signs (with the Ethereum prefix) of the result with *digest*."""
    return concat_and_hash(
        result_hash(chain_task_id, digest), result_seal(worker, chain_task_id, digest)
    )


def authorization_hash(worker: str, chain_task_id: str, enclave_challenge: str) -> str:
    """What the pool's owner signs (with the Ethereum prefix) to let *worker* contribute."""
    return concat_and_hash(worker, chain_task_id, enclave_challenge)


def callback_hash(chain_task_id: str, worker: str) -> str:
    """What an enclave signs (with the prefix) to tell *worker* something about its task."""
    return concat_and_hash(chain_task_id, worker)


def lenient_hex(text: str) -> bytes:
    """
    Decode hex as web3j does: never fails.

    A leading `0x` is dropped, an odd first digit is a byte of its own, and a character that
    is no hex digit counts as −1.
    """
    digits = [_HEX_DIGITS.get(c, -1) for c in text.removeprefix("0x")]
    head = [digits.pop(0)] if len(digits) % 2 else []
    pairs = zip(digits[::2], digits[1::2], strict=True)
    return bytes(byte & 0xFF for byte in [*head, *((high << 4) + low for high, low in pairs)])


def login_hash(challenge: str) -> str:
    """What is signed, without a prefix, to log in: the pool reads its base64 challenge as hex."""
    return keccak(lenient_hex(challenge))


def prefixed_hash(hash_hex: str) -> str:
    """The EIP-191 hash of the 32 bytes of *hash_hex*: what a prefixed signature signs."""
    return keccak(_PREFIX + hex_bytes(hash_hex))


def recover_prefixed(hash_hex: str, signature: str) -> str:
    """
    The address (lower case) whose key made a prefixed *signature* of *hash_hex*.

    Raises ValueError for a signature the contracts would not take: not 65 bytes with v 27 or 28.
    """
    raw = hex_bytes(signature)
    if len(raw) != _SIGNATURE_SIZE or raw[-1] not in _RECOVERY_IDS:
        raise ValueError("the signature is not r, s, v in 65 bytes with v 27 or 28")
    try:
        signed = Signature(raw[:-1] + bytes([raw[-1] - _RECOVERY_IDS[0]]))
        key = signed.recover_public_key_from_msg_hash(hex_bytes(prefixed_hash(hash_hex)))
    except (ValidationError, BadSignature) as error:
        raise ValueError(f"the signature is not valid: {error}") from error
    return str(key.to_address()).lower()
