"""What the worker tells the pool about the machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Final

from iexec_worker.app.enclaves import agent_of, sgx_of
from iexec_worker.model import WorkerModel

if TYPE_CHECKING:
    from iexec_worker.config import Config

#: Java's names of processors, which pools know; others are told as they are.
_JAVA_NAMES: Final = {"x86_64": "amd64", "arm64": "aarch64"}

_GB: Final = 1024**3


def worker_model(config: Config, wallet: str) -> WorkerModel:
    """Describe this machine as `os.arch` and friends of the Java worker do; memory in GB."""
    machine = platform.machine()
    return WorkerModel(
        name=config.worker.name,
        wallet_address=wallet,
        os=platform.system(),
        cpu=_JAVA_NAMES.get(machine, machine),
        cpu_nb=config.worker.cpu_count,
        memory_size=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _GB,
        gpu_enabled=config.worker.gpu_enabled,
        # A worker that has none of the devices does not start.
        tee_enabled=sgx_of(config).enabled,
        tdx_enabled=agent_of(config).is_here,
    )
