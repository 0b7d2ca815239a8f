"""What the scheduler reads of a deal's parameters, as strictly as it reads them."""

from __future__ import annotations

import json
from typing import Any, Final

from attrs import frozen

_KNOWN: Final = frozenset(
    {
        "iexec_args",
        "iexec_input_files",
        "iexec_result_encryption",
        "iexec_result_storage_provider",
        "iexec_result_storage_proxy",
        "iexec_secrets",
    }
)
_UNTIL_8: Final = frozenset(
    {
        "iexec_developer_logger",
        "iexec_tee_post_compute_image",
        "iexec_tee_post_compute_fingerprint",
    }
)
_SINCE_9: Final = frozenset({"bulk_cid"})


@frozen
class ResultParams:
    """Where the result goes. No *provider*: nowhere; no *proxy*: the pool's."""

    provider: str = ""
    proxy: str = ""


def read(text: str, major: int) -> ResultParams:
    """Read *text*; a single unknown key, or anything but a JSON object, and it is all arguments."""
    params = _object(text)
    known = _KNOWN | (_UNTIL_8 if major < 9 else _SINCE_9)
    if params is None or not params.keys() <= known:
        return ResultParams()
    provider, proxy = (
        params.get(f"iexec_result_storage_{name}") or "" for name in ("provider", "proxy")
    )
    return ResultParams(str(provider), str(proxy).strip())


def _object(text: str) -> dict[str, Any] | None:
    try:
        params = json.loads(text)
    except ValueError:
        return None
    return params if isinstance(params, dict) else None
