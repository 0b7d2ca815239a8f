"""
A machine that seems to have SGX, or TDX's provider agent, below a folder of its own.

Null devices stand for the hardware: containers that are given them prove that they would be given
the real ones, and nothing about enclaves.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iexec_worker.devpool.tee.runtime import interpreter
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the drivers make, by the mode of `IEXEC_WORKER_SGX_DRIVER_MODE`.
DEVICES: Final = {"NATIVE": ("dev/sgx/enclave", "dev/sgx/provision"), "LEGACY": ("dev/isgx",)}
AESM: Final = "var/run/aesmd/aesm.socket"

_LEGACY_MODULE: Final = "sys/module/isgx/version"
_VERSION: Final = "2.14.0\n"

#: /dev/null, which takes everything and keeps nothing.
_NULL: Final = os.makedev(1, 3)

_AGENT: Final = """#!{python} -IS
import sys
sys.path.insert(0, "{package}")
from iexec_worker.devpool.tee.enclave.agent import main
sys.exit(main())
"""


@contextmanager
def sgx_machine(root: Path, mode: str = "NATIVE") -> Iterator[Path]:
    """
    Make *root* the root of a machine with the driver of *mode*; for `IEXEC_WORKER_HOST_ROOT`.

    AESM listens there as long as the block runs; nothing is left of it all. Raises Fatal when
    device nodes cannot be made.
    """
    try:
        for device in DEVICES[mode]:
            _make_device(root / device)
        if mode == "LEGACY":
            _make_parent(root / _LEGACY_MODULE).write_text(_VERSION)
        with _listening(_make_parent(root / AESM)):
            yield root
    finally:
        for part in ("dev", "sys", "var"):
            shutil.rmtree(root / part, ignore_errors=True)


def make_agent(folder: Path) -> Path:
    """Put TDX's provider agent into *folder*; for `IEXEC_WORKER_TDX_AGENT`."""
    agent = _make_parent(folder / "secret_provider_agent")
    package = Path(__file__).parents[3]
    agent.write_text(_AGENT.format(python=interpreter(), package=package))
    agent.chmod(0o755)
    return agent


def _make_device(path: Path) -> None:
    try:
        os.mknod(_make_parent(path), 0o666 | stat.S_IFCHR, _NULL)
    except PermissionError as error:
        raise Fatal(
            "device nodes that stand for SGX can be made by root only: run this as root, or try "
            "TDX, which needs none"
        ) from error


def _make_parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def _listening(path: Path) -> Iterator[None]:
    # By its folder's number: the path of a socket may have 107 characters only.
    folder = os.open(path.parent, os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
            listener.listen()
            yield
    finally:
        os.close(folder)
