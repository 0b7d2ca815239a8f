"""The variables of a part's session, from whom they come in each framework."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iexec_worker.devpool.tee.enclave.requests import NoAnswer, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What SGX's drivers are used through: the present one's, the older one's.
DEVICES: Final = (("/dev/sgx/enclave", "/dev/sgx/provision"), ("/dev/isgx",))
AESM: Final = "/var/run/aesmd/aesm.socket"

#: Seconds for the local attestation service to take a connection.
_LIMIT: Final = 20


class NotAttested(Exception):
    """Raised when an enclave could not have come by its secrets."""


def environment(given: Mapping[str, str], part: str, *, root: str = "") -> dict[str, str]:
    """
    The variables of *part*: those of its container and those of its session.

    Scone's runtime and Gramine's get the latter while the enclave starts; it does not without the
    devices, LAS or AESM that are theirs. In TDX the container has them all. *root*: where the
    container's files are.
    """
    url = _url(given, part, root)
    return {**given, **(_secrets(url) if url else {})}


def _url(given: Mapping[str, str], part: str, root: str) -> str:
    if config := given.get("SCONE_CONFIG_ID"):
        _need_devices(root)
        host, _, port = given.get("SCONE_LAS_ADDR", "").rpartition(":")
        _need_server("LAS", host, port)
        return f"{_http(given.get('SCONE_CAS_ADDR', ''))}/sessions/{config}"
    if session := given.get("session"):
        _need_devices(root)
        # Only these two are given it.
        if part in ("app", "post-compute"):
            _need_socket(root + AESM)
        return f"{_http(given.get('sps', ''))}/sessions/{session}/{part}"
    return ""


def _secrets(url: str) -> dict[str, str]:
    try:
        found = json.loads(ask("GET", url))
    except (NoAnswer, ValueError) as error:
        raise NotAttested(f"no session: {error}") from error
    return {str(name): str(value) for name, value in found.items()}


def _need_devices(root: str) -> None:
    def there(path: str) -> bool:
        device = Path(root + path)
        return device.exists() and stat.S_ISCHR(device.stat().st_mode)

    if not any(all(map(there, paths)) for paths in DEVICES):
        raise NotAttested("no SGX device in this container")


def _need_socket(path: str) -> None:
    if not Path(path).is_socket():
        raise NotAttested(f"no AESM at {path}")


def _need_server(name: str, host: str, port: str) -> None:
    try:
        socket.create_connection((host, int(port)), _LIMIT).close()
    except (OSError, ValueError) as error:
        raise NotAttested(f"no {name} at {host}:{port}: {error}") from error


def _http(place: str) -> str:
    return place if place.startswith("http://") else f"http://{place}"
