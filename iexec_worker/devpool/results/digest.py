"""
The digest of a result archive, computed from the archive alone.

Deliberately not the worker's code, as in `hashing`.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any, Final

from eth_utils.crypto import keccak

from iexec_worker.devpool.chain.hashing import from_hex

_COMPUTED: Final = "computed.json"
_ROOT: Final = "/iexec_out/"


class BadArchive(ValueError):
    """Raised when an archive has no digest."""


def digest(archive: bytes) -> str:
    """The digest of the zip *archive* as `0x…`; raises BadArchive."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            return "0x" + _digest(zipped, _computed(zipped)).hex()
    except (zipfile.BadZipFile, KeyError, ValueError) as reason:
        raise BadArchive(str(reason)) from reason


def _computed(zipped: zipfile.ZipFile) -> dict[str, Any]:
    computed = json.loads(zipped.read(_COMPUTED))
    if not isinstance(computed, dict):
        raise BadArchive(f"{_COMPUTED} is no object")
    return computed


def _digest(zipped: zipfile.ZipFile, computed: dict[str, Any]) -> bytes:
    if callback := computed.get("callback-data"):
        return keccak(from_hex(callback))
    path = str(computed.get("deterministic-output-path") or "")
    name = path.removeprefix(_ROOT).strip("/")
    if not path.startswith(_ROOT.rstrip("/")):
        raise BadArchive(f"{path!r} is not below {_ROOT}")
    if name and name in zipped.namelist():
        return hashlib.sha256(zipped.read(name)).digest()
    return _of_folder(zipped, f"{name}/" if name and path != _ROOT.rstrip("/") else "")


def _of_folder(zipped: zipfile.ZipFile, folder: str) -> bytes:
    inside = [name for name in zipped.namelist() if name.startswith(folder) and name != folder]
    if not inside:
        raise BadArchive(f"nothing at {folder!r}")
    # Folders in folders add nothing. Java sorts by UTF-16 code units.
    children = [name for name in inside if "/" not in name.removeprefix(folder)]
    children.sort(key=lambda name: name.encode("utf-16-be"))
    return keccak(b"".join(hashlib.sha256(zipped.read(name)).digest() for name in children))
