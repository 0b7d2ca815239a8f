"""A deal's parameters, read as strictly as the pool's services read them."""

from __future__ import annotations

import json
from typing import Any, Final

from attrs import field, frozen

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
_KINDS: Final = {"iexec_input_files": list, "iexec_secrets": dict}
_UNTIL_8: Final = frozenset(
    {
        "iexec_developer_logger",
        "iexec_tee_post_compute_image",
        "iexec_tee_post_compute_fingerprint",
    }
)
_SINCE_9: Final = frozenset({"bulk_cid"})


@frozen
class Params:
    """
    What the requester wants. The result: no *provider*: nowhere; no *proxy*: the pool's.

    *secrets*: number → name of a requester's secret. *bulk_cid*: where the list of datasets is.
    """

    provider: str = ""
    proxy: str = ""
    args: str = ""
    input_files: tuple[str, ...] = ()
    encryption: bool = False
    secrets: dict[str, str] = field(factory=dict, hash=False)
    bulk_cid: str = ""


def read(text: str, major: int) -> Params:
    """Read *text*; a single unknown key, or anything but a JSON object, and it is all arguments."""
    params = _object(text)
    known = _KNOWN | (_UNTIL_8 if major < 9 else _SINCE_9)
    if params is None or not params.keys() <= known:
        return Params(args=text)
    return Params(
        provider=_text(params, "iexec_result_storage_provider"),
        proxy=_text(params, "iexec_result_storage_proxy").strip(),
        args=_text(params, "iexec_args"),
        input_files=tuple(str(url) for url in params.get("iexec_input_files") or ()),
        encryption=params.get("iexec_result_encryption") is True,
        secrets={str(k): str(v) for k, v in (params.get("iexec_secrets") or {}).items()},
        bulk_cid=_text(params, "bulk_cid"),
    )


def _text(params: dict[str, Any], name: str) -> str:
    return str(params.get(name) or "")


def _object(text: str) -> dict[str, Any] | None:
    try:
        params = json.loads(text)
    except ValueError:
        return None
    if not isinstance(params, dict):
        return None
    wrong = any(not isinstance(params.get(key) or kind(), kind) for key, kind in _KINDS.items())
    return None if wrong else params
