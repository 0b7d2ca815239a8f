"""A gateway with the files of this machine instead of IPFS: results and datasets by their hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import trio
from attrs import frozen
from quart import Blueprint, Response, send_file

from iexec_worker.devpool.http import spring

if TYPE_CHECKING:
    from pathlib import Path

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#: Of a multihash: sha2-256, 32 bytes. With it a CIDv0 begins with `Qm` and has 46 characters.
_SHA256: Final = b"\x12\x20"


def cid(content: bytes) -> str:
    """A CIDv0 for *content*. IPFS would hash its own blocks instead; only the form is the same."""
    return base58(_SHA256 + hashlib.sha256(content).digest())


def base58(raw: bytes) -> str:
    """*raw* in Bitcoin's base 58."""
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    zeros = len(raw) - len(raw.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + text


@frozen
class Ipfs:
    """Files in *folder*, each named by its CID."""

    folder: Path

    async def add(self, content: bytes) -> str:
        """Keep *content*; returns its CID."""
        name = cid(content)
        await trio.Path(self.folder / name).write_bytes(content)
        return name

    async def read(self, name: str) -> bytes:
        """The content of a CID; OSError when it is not there, ValueError for what is none."""
        return await trio.Path(self.path(name)).read_bytes()

    def path(self, name: str) -> Path:
        """The file of a CID, whether it is there or not; ValueError for what cannot be one."""
        if not name or not all(c in _ALPHABET for c in name):
            raise ValueError(f"{name!r} is no CID")
        return self.folder / name

    async def has(self, name: str) -> bool:
        """True iff the file is there."""
        return await trio.Path(self.path(name)).is_file()

    def routes(self) -> Blueprint:
        """`/ipfs/<cid>`, with ranges."""
        gateway = Blueprint("ipfs", __name__)

        @gateway.get("/ipfs/<name>")
        async def file(name: str) -> Response:
            try:
                path = self.path(name)
            except ValueError:
                return spring.empty(400)
            if not await trio.Path(path).is_file():
                return spring.empty(404)
            response = await send_file(path, mimetype="application/octet-stream", conditional=True)
            response.timeout = None
            return response

        return gateway
