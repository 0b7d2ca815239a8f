"""The location of an asset, as its contract holds it: text, or a binary IPFS multiaddress."""

from __future__ import annotations

import base64
from typing import Final

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

#: The varint of multicodec 421, `p2p`, once called `ipfs`.
_IPFS: Final = b"\xa5\x03"
_CID_V1: Final = 1


def decode_multiaddress(raw: bytes) -> str:
    """`/ipfs/<hash>` for a binary IPFS multiaddress, otherwise the bytes as UTF-8 text."""
    content = _ipfs_content(raw)
    if content is not None:
        return "/ipfs/" + _cid(content)
    text = raw.decode("utf-8", "replace")
    # The same protocol under its younger name; gateways serve the elder.
    return "/ipfs/" + text.removeprefix("/p2p/") if text.startswith("/p2p/") else text


def _ipfs_content(raw: bytes) -> bytes | None:
    """The content id, if *raw* is exactly one IPFS part (a content id is under 128 bytes)."""
    if not raw.startswith(_IPFS) or len(raw) <= len(_IPFS) + 1:
        return None
    content = raw[len(_IPFS) + 1 :]
    return content if raw[len(_IPFS)] == len(content) else None


def _cid(content: bytes) -> str:
    if content[0] == _CID_V1:
        return "b" + base64.b32encode(content).decode().rstrip("=").lower()
    return base58(content)


def base58(data: bytes) -> str:
    """Bitcoin's base58: leading zero bytes become leading ones."""
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + digits
