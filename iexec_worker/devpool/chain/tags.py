"""The TEE frameworks in a deal's tag, as the pool's services read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iexec_worker.model import TeeFramework

if TYPE_CHECKING:
    from collections.abc import Mapping

#: From which version on a service knows a framework; the others have always been known.
_SINCE: Final[Mapping[TeeFramework, tuple[int, ...]]] = {TeeFramework.TDX: (9, 1)}


def framework_of(tag: str, version: tuple[int, ...]) -> TeeFramework | None:
    """The framework that *tag* names for a service of that version; None: a standard task."""
    nibble = int(tag, 16) & 0xF
    found = next((framework for framework in TeeFramework if framework.value == nibble), None)
    return found if found is not None and knows(version, found) else None


def knows(version: tuple[int, ...], framework: TeeFramework) -> bool:
    """True iff services of *version* know *framework*."""
    return version >= _SINCE.get(framework, ())


def tag_of(framework: TeeFramework) -> str:
    """The tag with which orders ask for *framework*."""
    return f"0x{framework.value:064x}"


def numbers(version: str) -> tuple[int, int, int]:
    """`9.3.0` as numbers, without the suffix of a snapshot."""
    major, minor, patch = version.partition("-")[0].split(".")
    return int(major), int(minor), int(patch)
