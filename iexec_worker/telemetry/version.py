"""How the worker names its version to people and machines."""

from __future__ import annotations

from typing import Final

from iexec_worker import PROTOCOL_FIRST, PROTOCOL_LAST, __version__


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


PROTOCOL_RANGE: Final = (_dotted(PROTOCOL_FIRST), _dotted(PROTOCOL_LAST))

#: A semantic version whose build metadata is the protocol range: who parses versions gets
#: ours, who reads them sees both.
FULL_VERSION: Final = f"{__version__}+protocol.{'-'.join(PROTOCOL_RANGE)}"
