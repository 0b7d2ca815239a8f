"""What of a URL may be shown: operators keep passwords in proxies' and keys in nodes' URLs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from iexec_worker.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

# Greedy up to the last @: a password may hold any character, unescaped ones included.
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)
_AFTER_HOST = re.compile(r"^([a-z][a-z0-9+.-]*://[^/?#]*)[/?#].+$", re.IGNORECASE | re.DOTALL)

# Shorter path segments are names of routes (`rpc`, `v3`, `mainnet`), not keys; redacting them would
# eat every log line with such a word.
_SHORTEST_KEY = 16


def mask_credentials(url: str) -> str:
    """Return *url*, which may be malformed, with user and password as `***`."""
    return _CREDENTIALS.sub(r"\1***@", url)


def mask_path(url: str) -> str:
    """Return *url* with everything but scheme, host and port as `***`."""
    return _AFTER_HOST.sub(r"\1/***", mask_credentials(url))


def mask_each(mask: Callable[[str], str], urls: str) -> str:
    """Apply *mask* to each item of a comma-separated list."""
    return ",".join(mask(url) for url in urls.split(","))


def url_secrets(url: str) -> tuple[Secret, ...]:
    """Parts of a well-formed *url* that are as good as a password: it, and keys in the path."""
    parts = urlsplit(url)
    words = re.split(r"[/?&=]", f"{parts.path}?{parts.query}")
    keys = {word for word in words if len(word) >= _SHORTEST_KEY}
    if parts.password:
        keys |= {parts.password, unquote(parts.password)}
    return tuple(Secret(key) for key in sorted(keys))
