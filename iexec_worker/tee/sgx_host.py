"""What containers are given of a host with SGX, by the paths that its engine knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from iexec_worker.engine.own_container import on_host, own_container
from iexec_worker.tee.sgx import AESM_SOCKET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iexec_worker.engine.client import Engine
    from iexec_worker.tee.sgx import Sgx


@frozen
class SgxHost:
    """The host of *engine*; this worker may see it from within a container."""

    engine: Engine
    sgx: Sgx

    async def devices(self) -> tuple[str, ...]:
        """Return the driver's devices, as a container is given them. Raises `Unavailable`."""
        own = await own_container(self.engine)
        return tuple(f"{on_host(own, self.sgx.place(d))}:{d}" for d in self.sgx.devices)

    async def aesm_socket(self) -> Mapping[str, str]:
        """Return the bind of the socket of the attestation service. Raises `Unavailable`."""
        own = await own_container(self.engine)
        return {str(on_host(own, self.sgx.place(AESM_SOCKET))): AESM_SOCKET}
