"""An app's enclave configuration, which its owner wrote on-chain as JSON. Sans-IO."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.errors import StageFailed
from iexec_worker.jackson import Number, read_object, read_text
from iexec_worker.model import TeeFramework
from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from iexec_worker.jackson import Readers

_FINGERPRINT: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,4})?")

#: Heaps are Java's longs to everybody else.
_TOO_BIG: Final = 2**63


@frozen
class Enclave:
    """*framework* is empty when none is named; *heap* in bytes."""

    framework: str = ""
    version: str = ""
    entrypoint: str = ""
    heap: int = 0
    fingerprint: str = ""

    def fault(self) -> str:
        """Say what makes it useless; empty when nothing does."""
        if not _FINGERPRINT.fullmatch(self.fingerprint):
            return "its fingerprint is not 32 bytes in hex"
        if self.framework == TeeFramework.GRAMINE.name:
            # Entrypoint and heap are in what the fingerprint is of.
            return ""
        if not self.entrypoint.strip():
            return "it has no entrypoint"
        return "" if self.heap > 0 else "it has no heap"


def parse(text: str) -> Enclave:
    """
    Read the configuration as the pool's parser does, which takes scalars for text.

    Raises ValueError for what is no JSON object, a key that is unknown, or a value of a wrong type.
    """
    return Enclave(**read_object(text, _READERS, "an enclave configuration"))


def enclave_of(text: str, most: int) -> Enclave:
    """Read a configuration that can be used here, with a heap of up to *most* bytes."""
    try:
        enclave = parse(text)
    except ValueError as error:
        raise StageFailed(
            Cause.PRE_COMPUTE_MISSING_ENCLAVE_CONFIGURATION,
            f"the app has no enclave configuration that can be read: {error}",
        ) from error
    if fault := enclave.fault():
        raise StageFailed(
            Cause.PRE_COMPUTE_INVALID_ENCLAVE_CONFIGURATION,
            f"the app's enclave configuration is not valid: {fault}",
        )
    if enclave.heap > most:
        raise StageFailed(
            Cause.PRE_COMPUTE_INVALID_ENCLAVE_HEAP_CONFIGURATION,
            f"the app's enclave has a heap of {enclave.heap} bytes, more than the {most} of "
            "IEXEC_WORKER_TEE_COMPUTE_MAX_HEAP_SIZE_GB",
        )
    return enclave


def _framework(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Number) or not isinstance(value, str):
        raise TypeError("not a name")
    return TeeFramework[value].name


def _bytes(value: object) -> int:
    """A whole number; a fraction is cut off, and a number in quotes is one."""
    if value is None:
        return 0
    if not isinstance(value, str):
        raise TypeError("not a number")
    written = value.strip()
    if not written:
        return 0
    if not _NUMBER.fullmatch(written):
        raise ValueError("not a number")
    # A float only for what is written as one: it has fewer digits than a heap.
    number = float(written) if set(written) & set(".eE") else int(written)
    if abs(number) >= _TOO_BIG:
        raise ValueError("too large for a heap")
    return int(number)


_READERS: Final[Readers] = {
    "framework": ("framework", _framework),
    "provider": ("framework", _framework),
    "version": ("version", read_text),
    "entrypoint": ("entrypoint", read_text),
    "heapSize": ("heap", _bytes),
    "fingerprint": ("fingerprint", read_text),
}
