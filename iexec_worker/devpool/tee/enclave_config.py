"""The TEE configuration that an app has on-chain, as the SMS reads it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from iexec_worker.devpool.tee.properties import VERSIONS
from iexec_worker.model import TeeFramework

_KNOWN: Final = frozenset(
    {"framework", "provider", "version", "entrypoint", "heapSize", "fingerprint"}
)
_FINGERPRINT: Final = re.compile("(0x)?[0-9a-fA-F]{64}")


def configuration(
    framework: TeeFramework,
    *,
    fingerprint: str = 64 * "b",
    entrypoint: str = "/enclave app",
    heap: int = 1024**3,
    version: str = "",
) -> str:
    """The JSON with which an app of *framework* is registered, see `Market.deploy_app`."""
    wanted = {
        "framework": framework.name,
        "version": version or VERSIONS[framework],
        "entrypoint": entrypoint,
        "heapSize": heap,
        "fingerprint": fingerprint,
    }
    return json.dumps(wanted)


def refuse(text: str) -> str | None:
    """The name of the error of a session for an app with that configuration; None: it is good."""
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict) or not config.keys() <= _KNOWN:
        return "APP_COMPUTE_NO_ENCLAVE_CONFIG"
    return None if _valid(config) else "APP_COMPUTE_INVALID_ENCLAVE_CONFIG"


def _valid(config: dict[str, Any]) -> bool:
    if not _FINGERPRINT.fullmatch(str(config.get("fingerprint") or "")):
        return False
    name = str(config.get("framework") or config.get("provider") or "")
    heap = config.get("heapSize")
    whole = bool(config.get("entrypoint")) and isinstance(heap, int) and heap > 0
    return whole or name.upper() == TeeFramework.GRAMINE.name


def fingerprint(text: str) -> str:
    """What measures the app's enclave; empty without a configuration."""
    return _text(text, "fingerprint")


def version(text: str) -> str:
    """The version of the framework that the app wants; empty without a configuration."""
    return _text(text, "version")


def _text(text: str, name: str) -> str:
    try:
        config = json.loads(text)
    except ValueError:
        return ""
    return str(config.get(name) or "") if isinstance(config, dict) else ""
