"""What a result archive proves, computed here from its bytes: no code of worker or pool."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from eth_utils.crypto import keccak

if TYPE_CHECKING:
    from collections.abc import Mapping


def sha256(content: bytes) -> str:
    """The checksum of a file as contracts keep it."""
    return "0x" + hashlib.sha256(content).hexdigest()


def multiaddress(digest: str) -> bytes:
    """`/ipfs/<CIDv0>` in binary: protocol 421 as a varint, a length, and sha2-256 of 32 bytes."""
    return bytes.fromhex("a503" + "22" + "1220" + digest.removeprefix("0x"))


def unzip(archive: bytes) -> dict[str, bytes]:
    """The files of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        assert zipped.testzip() is None
        return {name: zipped.read(name) for name in zipped.namelist() if not name.endswith("/")}


def digest_of(files: Mapping[str, bytes]) -> str:
    """The digest of an archive's files, by what its computed.json points at."""
    path = PurePosixPath(json.loads(files["computed.json"])["deterministic-output-path"])
    place = str(path.relative_to("/iexec_out"))
    if place in files:
        return sha256(files[place])
    children = {
        name: content
        for name, content in files.items()
        if PurePosixPath(name).parent == PurePosixPath(place)
    }
    hashes = [hashlib.sha256(children[name]).digest() for name in sorted(children)]
    return "0x" + keccak(b"".join(hashes)).hex()


def result_hash(task_id: str, digest: str) -> str:
    """What a contribution tells of a result with this digest."""
    task, told = (bytes.fromhex(text.removeprefix("0x")) for text in (task_id, digest))
    return "0x" + keccak(task + told).hex()


def digest_of_callback(data: bytes) -> str:
    """The digest of a result that is callback data."""
    return "0x" + keccak(data).hex()
