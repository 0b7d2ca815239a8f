"""Names in the environment that look like ours and are not: most are typing errors."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_OURS = "IEXEC_"

# Other programs may well have variables of this prefix: only close relatives are suspects.
_MAYBE_OURS = "POOL_"
_RELATED, _CLOSE = 0.6, 0.8


def warnings(environ: Mapping[str, str], known: Collection[str]) -> tuple[str, ...]:
    """Return one warning for each non-empty variable with a name of our kind not in *known*."""
    suspects = sorted(name for name, text in environ.items() if text and name not in known)
    return tuple(text for name in suspects if (text := _warning(name, known)))


def _warning(name: str, known: Collection[str]) -> str:
    upper = name.upper()
    cutoff = _RELATED if upper.startswith(_OURS) else _CLOSE
    nearest = difflib.get_close_matches(upper, known, n=1, cutoff=cutoff)
    if upper.startswith(_OURS):
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        return f"{name} is not a variable of this worker and has no effect{hint}"
    if upper.startswith(_MAYBE_OURS) and nearest:
        return f"{name} has no effect; did you mean {nearest[0]}?"
    return ""
