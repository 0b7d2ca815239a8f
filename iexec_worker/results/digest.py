"""The digest of a result: what a worker contributes, and every other one must find too."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING, Final

from eth_hash.auto import keccak

from iexec_worker.results.beneath import open_below, open_folder, read_chunks
from iexec_worker.results.tree import Limits, children

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.model import ComputedFile

_ROOT: Final = "iexec_out"


def digest(computed: ComputedFile, output: Path, limits: Limits, *, callback: bool) -> str:
    """
    Return the `0x` digest of what *computed* points at.

    A file: its sha256. A folder: keccak256 of the sha256 of its files, by name; folders in it do
    not count. With *callback*: keccak256 of the data for the contract. *output* is the folder
    that holds `iexec_out`.

    Raises `OSError` when there is nothing at the path, `ValueError` when it (or a file in the
    folder) is a link or no regular file, leaves `iexec_out`, when there is more of it than *limits*
    allow, or when the data is no hex.
    """
    if callback:
        return "0x" + keccak(_from_hex(computed.callback_data)).hex()
    parts = _parts(computed.deterministic_output_path)
    with open_folder(output) as root, open_below(root, parts) as (fd, info):
        if stat.S_ISREG(info.st_mode):
            return "0x" + _sha256(fd, info.st_size).hex()
        return "0x" + _folder(root, parts, limits).hex()


def _parts(path: str) -> tuple[str, ...]:
    """
    The names in *path*, which is appended as text to the path of `output`.

    So one without a leading `/` names a sibling of `output` that does not exist. Beside
    `iexec_out` there are only files of ours, which the result proxy does not have: a digest of
    them could never be confirmed.
    """
    if not path.startswith("/"):
        raise ValueError(f"deterministic-output-path {path!r} does not begin with a slash")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if parts[:1] != (_ROOT,):
        raise ValueError(f"deterministic-output-path {path!r} is not in /{_ROOT}")
    return parts


def _folder(root: int, parts: tuple[str, ...], limits: Limits) -> bytes:
    hashes = keccak.new(b"")
    for child in children(root, parts, limits.entries):
        if child.is_dir(follow_symlinks=False):
            continue
        with open_below(root, (*parts, child.name)) as (fd, info):
            hashes.update(_sha256(fd, info.st_size))
    return hashes.digest()


def _sha256(fd: int, size: int) -> bytes:
    """Hash the file as long as it was when it was opened: one that grows has no end."""
    found = hashlib.sha256()
    for chunk in read_chunks(fd, size):
        found.update(chunk)
    return found.digest()


def _from_hex(text: str) -> bytes:
    """Decode *text* with or without `0x`; an odd first digit is a byte of its own."""
    if not text:
        raise ValueError("there is no callback-data")
    digits = text.removeprefix("0x")
    # `fromhex` alone would skip spaces.
    if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise ValueError("callback-data is not hexadecimal")
    return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
