"""Multiaddresses of datasets, and the gateways that serve them. Sans-IO."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from iexec_worker.errors import DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Sequence


_END: Final = re.compile(r"[?#]")

_SHOWN: Final = 100
"""Characters of an address that an error repeats: its owner chose how many it has."""


def is_multiaddress(uri: str) -> bool:
    """Tell whether *uri* is content on IPFS (`/p2p/` is the older spelling)."""
    return uri.startswith(("/ipfs/", "/p2p/"))


def gateway_urls(uri: str, gateways: Sequence[str]) -> tuple[str, ...]:
    """
    Return where each of *gateways* serves the multiaddress *uri*, in their order.

    Raises `DownloadFailed` when the path would leave `/ipfs/`.
    """
    if not gateways:
        raise DownloadFailed(f"{uri[:_SHOWN]!r} is on IPFS and no gateway is set")
    _, _, path = uri.lstrip("/").partition("/")
    # A query or fragment ends the last segment.
    segments = unquote(_END.split(path)[0]).replace("\\", "/").split("/")
    # Space around them is stripped where the URL is read.
    if not segments[0].strip() or any(segment.strip() in ("..", ".") for segment in segments):
        raise DownloadFailed(f"{uri[:_SHOWN]!r} is no path of IPFS")
    return tuple(f"{gateway.rstrip('/')}/ipfs/{path}" for gateway in gateways)
