"""The digest of what an app left, and its archive, as standard tasks have them."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iexec_worker.devpool.tee.enclave.keccak import keccak
from iexec_worker.devpool.tee.enclave.signing import as_hex
from iexec_worker.devpool.tee.enclave.telling import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_NAME: Final = 31


def computed_file(out: Path) -> dict[str, str]:
    """What the app said of its result."""
    try:
        found = json.loads((out / "computed.json").read_bytes())
    except (OSError, ValueError) as error:
        raise Failed("POST_COMPUTE_COMPUTED_FILE_NOT_FOUND", reason=str(error)) from error
    return {str(name): str(value) for name, value in found.items()}


def digest(computed: Mapping[str, str], out: Path, *, callback: bool) -> str:
    """The digest of the result that *computed* points at; *out* stands for `/iexec_out`."""
    try:
        if callback:
            return as_hex(keccak(bytes.fromhex(computed["callback-data"].removeprefix("0x"))))
        path = computed["deterministic-output-path"]
        return _digest(out / Path(path).relative_to("/iexec_out"))
    except (KeyError, OSError, ValueError) as error:
        raise Failed("POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED", reason=repr(error)) from error


def archive(out: Path) -> bytes:
    """All files below *out*, zipped; the same bytes for the same files."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and not path.is_symlink())
    if any(len(path.name) > _LONGEST_NAME for path in files):
        raise Failed("POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in files:
            zipped.writestr(zipfile.ZipInfo(str(path.relative_to(out))), path.read_bytes())
    return target.getvalue()


def _digest(path: Path) -> str:
    if not path.is_dir():
        return as_hex(hashlib.sha256(path.read_bytes()).digest())
    # What Java calls the order of files: that of UTF-16. Folders add nothing.
    files = [child for child in path.iterdir() if child.is_file()]
    files.sort(key=lambda file: file.name.encode("utf-16-be"))
    return as_hex(keccak(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)))
