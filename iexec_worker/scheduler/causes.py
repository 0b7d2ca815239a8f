"""What to call a failure when a pool does not know its cause by that name. Sans-IO."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from iexec_worker.wire import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEW: Final = "TEE_SESSION_GENERATION_GET_SIGNATURE_TOKENS_FAILED_"
_OLD: Final = "TEE_SESSION_GENERATION_POST_COMPUTE_GET_SIGNATURE_TOKENS_FAILED_"

#: Names of one age for the same failure as another has. One way only: no cause leads to itself.
_SAME: Final[Mapping[Cause, Cause]] = MappingProxyType(
    {
        **{cause: Cause(cause.replace(_NEW, _OLD)) for cause in Cause if cause.startswith(_NEW)},
        Cause.TEE_SESSION_GENERATION_SECURE_SESSION_NO_TEE_PROVIDER: (
            Cause.TEE_SESSION_GENERATION_SECURE_SESSION_NO_TEE_FRAMEWORK
        ),
    }
)

#: What all pools know, by how names begin that only some know.
_OF_A_KIND: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "PRE_COMPUTE_": Cause.PRE_COMPUTE_FAILED_UNKNOWN_ISSUE,
        "POST_COMPUTE_": Cause.POST_COMPUTE_FAILED_UNKNOWN_ISSUE,
        "TEE_SESSION_GENERATION_": Cause.TEE_SESSION_GENERATION_UNKNOWN_ISSUE,
    }
)


def in_other_words(cause: Cause) -> Cause | None:
    """
    Return what to tell a pool that does not take *cause*: its nearest; None when nothing is left.

    A pool's version is not asked: what it takes is what it knows.
    """
    if cause is Cause.UNKNOWN:
        return None
    kind = next((known for start, known in _OF_A_KIND.items() if cause.startswith(start)), cause)
    return _SAME.get(cause) or (Cause.UNKNOWN if kind is cause else kind)
