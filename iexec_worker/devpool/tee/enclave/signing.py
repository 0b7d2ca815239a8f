"""
Signatures on secp256k1 with the Ethereum prefix, as enclaves make them (RFC 6979).

Neither the worker's nor the pool's code: a mistake of theirs would not be repeated here. It keeps
no secret from whoever can measure time, which is fine for keys of tests.
"""

from __future__ import annotations

import hmac
from typing import Final

from iexec_worker.devpool.tee.enclave.keccak import keccak

_P: Final = 2**256 - 2**32 - 977
_N: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_G: Final = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
#: A key that is no task's, for signatures that must not be taken.
OTHER_KEY: Final = "0x" + 64 * "7"

_PREFIX: Final = b"\x19Ethereum Signed Message:\n32"

Point = tuple[int, int]


def hashed(*parts: str) -> bytes:
    """keccak-256 of the concatenated bytes of hex strings."""
    return keccak(b"".join(bytes.fromhex(part.removeprefix("0x")) for part in parts))


def as_hex(raw: bytes) -> str:
    """Bytes as `0x…`."""
    return "0x" + raw.hex()


def sign(key: str, message: bytes) -> str:
    """The signature (r, s, v in 65 bytes) of the 32 bytes of *message*, prefixed, by *key*."""
    digest, secret = keccak(_PREFIX + message), int(key, 16)
    number = int.from_bytes(digest, "big")
    nonce = _nonce(secret, digest)
    x, y = _times(nonce, _G)
    # An x above the order comes once in 2¹²⁸ signatures.
    r = x % _N
    s = pow(nonce, -1, _N) * (number + r * secret) % _N
    odd = y % 2
    if s > _N // 2:
        # The other of the two that are valid, for which the parity is the other one, too.
        s, odd = _N - s, 1 - odd
    return as_hex(r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + odd]))


def address(key: str) -> str:
    """The address of a private key."""
    x, y = _times(int(key, 16), _G)
    return as_hex(keccak(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:])


def _nonce(secret: int, digest: bytes) -> int:
    """RFC 6979, section 3.2: from key and message alone, so that it never repeats for two."""
    value, key = b"\x01" * 32, b"\x00" * 32
    reduced = int.from_bytes(digest, "big") % _N
    seed = secret.to_bytes(32, "big") + reduced.to_bytes(32, "big")
    for tag in (b"\x00", b"\x01"):
        key = hmac.digest(key, value + tag + seed, "sha256")
        value = hmac.digest(key, value, "sha256")
    while True:
        value = hmac.digest(key, value, "sha256")
        if 0 < (nonce := int.from_bytes(value, "big")) < _N:
            return nonce
        key = hmac.digest(key, value + b"\x00", "sha256")
        value = hmac.digest(key, value, "sha256")


def _times(factor: int, point: Point) -> Point:
    result: Point | None = None
    while factor:
        if factor & 1:
            result = point if result is None else _sum(result, point)
        point = _sum(point, point)
        factor >>= 1
    assert result is not None, "no key is zero"
    return result


def _sum(one: Point, other: Point) -> Point:
    """The sum of two points that are not each other's negative; a double of a point included."""
    if one == other:
        slope = 3 * one[0] ** 2 * pow(2 * one[1], -1, _P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P)
    x = (slope**2 - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P
