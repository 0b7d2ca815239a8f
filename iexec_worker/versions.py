"""Versions: ours, those of the worker protocol that we speak, and what follows from a pool's."""

from __future__ import annotations

import re
from typing import Final

from iexec_worker import PROTOCOL_FIRST, PROTOCOL_LAST, __version__

_VERSION: Final = re.compile(r"\s*v?(\d+)\.(\d+)")

#: The first pools whose trusted tasks' enclaves sign what they tell the worker.
_SIGNING: Final = (9, 0)


def parse(text: str) -> tuple[int, int] | None:
    """Return major and minor of a version like `9.1.0` or `v9.1`; None for what is none."""
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else None


def dotted(version: tuple[int, int]) -> str:
    """Write major and minor as people do."""
    return ".".join(map(str, version))


def is_spoken(version: tuple[int, int] | None) -> bool:
    """True iff it is a version of the protocol that this worker speaks."""
    return version is not None and PROTOCOL_FIRST <= version <= PROTOCOL_LAST


def enclaves_sign(pool_version: str) -> bool:
    """
    False for pools of 8.x: where their enclaves call from has to be known instead.

    A version that cannot be read is taken for a new one.
    """
    version = parse(pool_version)
    return version is None or not (8, 0) <= version < _SIGNING


PROTOCOL_RANGE: Final = (dotted(PROTOCOL_FIRST), dotted(PROTOCOL_LAST))

#: A semantic version whose build metadata is the protocol range: who parses versions gets
#: ours, who reads them sees both.
FULL_VERSION: Final = f"{__version__}+protocol.{'-'.join(PROTOCOL_RANGE)}"
