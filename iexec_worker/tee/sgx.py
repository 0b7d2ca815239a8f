"""The SGX devices of this machine, by the driver that makes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Device nodes of each driver, as containers have to find them.
DEVICES: Final[Mapping[str, tuple[str, ...]]] = {
    "NONE": (),
    "LEGACY": ("/dev/isgx",),
    "NATIVE": ("/dev/sgx/enclave", "/dev/sgx/provision"),
}

#: What proves that the driver is loaded.
_MODULES: Final[Mapping[str, tuple[str, ...]]] = {"LEGACY": ("/sys/module/isgx/version",)}

#: The service that attests an enclave's report to others, which Gramine's enclaves ask.
AESM_SOCKET: Final = "/var/run/aesmd/aesm.socket"

_FIXES: Final[Mapping[str, str]] = {
    "LEGACY": "load the driver (`modprobe isgx`)",
    "NATIVE": "enable SGX in the firmware, run a kernel with its driver (5.11 or later), and let "
    "udev name the devices (package `sgx-aesm-service`, or links from /dev/sgx/ to /dev/sgx_enclave"
    " and /dev/sgx_provision)",
}


@frozen
class Sgx:
    """*mode* is the driver's: "NONE", "LEGACY" or "NATIVE". *root*: see `config.Tee.host_root`."""

    mode: str
    root: Path

    @property
    def enabled(self) -> bool:
        """True iff the operator wants SGX tasks."""
        return self.mode != "NONE"

    @property
    def devices(self) -> tuple[str, ...]:
        """The paths of its devices in a container."""
        return DEVICES[self.mode]

    def place(self, path: str) -> Path:
        """Return where this process finds *path* of the host's."""
        return self.root / path.removeprefix("/")

    def trouble(self) -> str:
        """Name what is missing; empty when all is there."""
        missing = list(self._missing())
        if not missing:
            return ""
        # A worker in a container sees its own /dev.
        looked = "" if self.root == Path("/") else f" below IEXEC_WORKER_HOST_ROOT={self.root}"
        verb = "is" if len(missing) == 1 else "are"
        return (
            f"IEXEC_WORKER_SGX_DRIVER_MODE is {self.mode}, but {' and '.join(missing)} "
            f"{verb} missing{looked}"
        )

    @property
    def fix(self) -> str:
        """What to do about a missing device."""
        return (
            f"{_FIXES[self.mode]}; in a container, mount the host's root and name it in "
            "IEXEC_WORKER_HOST_ROOT; or set the mode to NONE to take no SGX tasks"
        )

    def require(self) -> None:
        """Raise `Fatal`, which names what is missing and says what to do, unless all is there."""
        if trouble := self.trouble():
            raise Fatal(f"{trouble}: {self.fix}")

    def _missing(self) -> Iterator[str]:
        for device in self.devices:
            if not self.place(device).is_char_device():
                yield device
        for module in _MODULES.get(self.mode, ()):
            if not self.place(module).exists():
                yield module
