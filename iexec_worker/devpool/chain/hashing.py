"""
Hashes and signatures as the pool's side computes and checks them.

Deliberately not the worker's code: were it shared, a mistake in it would agree with itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = b"\x19Ethereum Signed Message:\n32"
#: `0x`, r, s and v in hex.
_SIGNATURE: Final = 2 + 2 * 65
_SMS_DOMAIN: Final = "0x" + keccak(text="IEXEC_SMS_DOMAIN").hex()
_HEX: Final = {c: int(c, 16) for c in "0123456789abcdefABCDEF"}


def from_hex(text: str) -> bytes:
    """Decode `0x…`; raises ValueError for anything else."""
    return bytes.fromhex(text.removeprefix("0x"))


def concat_and_hash(*parts: str) -> str:
    """keccak-256 of the concatenated bytes of hex strings, as `0x…`."""
    return "0x" + keccak(b"".join(from_hex(part) for part in parts)).hex()


def lenient_bytes(text: str) -> bytes:
    """
    Decode *text* as the official scheduler decodes its own base64 challenge: as if it were hex.

    Every character that is no hex digit counts as -1, an odd first digit stands alone.
    """
    digits = [_HEX.get(c, -1) for c in text.removeprefix("0x")]
    head = digits[: len(digits) % 2]
    tail = digits[len(digits) % 2 :]
    pairs = zip(tail[::2], tail[1::2], strict=True)
    return bytes([d & 0xFF for d in head] + [((hi << 4) + lo) & 0xFF for hi, lo in pairs])


def login_hash(challenge: str) -> str:
    """The hash a wallet signs, without prefix, to log in with *challenge*."""
    return "0x" + keccak(lenient_bytes(challenge)).hex()


def signers(hash_hex: str, signature_hex: str) -> Iterator[str]:
    """
    The addresses that may have signed exactly this hash, whatever the signature's v says.

    The recovery ids 2 and 3 are left out: they need an r that no one can find.
    """
    r, s = int(signature_hex[2:66], 16), int(signature_hex[66:130], 16)
    for v in (0, 1):
        try:
            key = Signature(vrs=(v, r, s)).recover_public_key_from_msg_hash(from_hex(hash_hex))
        except (BadSignature, ValidationError):
            continue
        yield key.to_address()


def web2_challenge(owner: str, name: str, value: str) -> str:
    """What *owner* signs to keep *value* as a secret in an SMS."""
    texts = ("0x" + keccak(text=text).hex() for text in (name, value))
    return concat_and_hash(_SMS_DOMAIN, owner, *texts)


def signed_login(challenge: str, signature_hex: str, wallet: str) -> bool:
    """True iff *wallet* signed *challenge* the way the scheduler wants it."""
    if not _is_signature(signature_hex):
        return False
    return wallet.lower() in signers(login_hash(challenge), signature_hex)


def signed_prefixed(hash_hex: str, signature_hex: str, address: str) -> bool:
    """True iff *address* signed *hash_hex* with the Ethereum prefix and v 27 or 28."""
    if not _is_signature(signature_hex) or signature_hex[-2:].lower() not in ("1b", "1c"):
        return False
    v = int(signature_hex[-2:], 16) - 27
    r, s = int(signature_hex[2:66], 16), int(signature_hex[66:130], 16)
    try:
        signature = Signature(vrs=(v, r, s))
        key = signature.recover_public_key_from_msg_hash(keccak(_PREFIX + from_hex(hash_hex)))
    except (BadSignature, ValidationError):
        return False
    return key.to_address() == address.lower()


def _is_signature(text: str) -> bool:
    return len(text) == _SIGNATURE and text.startswith("0x") and all(c in _HEX for c in text[2:])
