"""Where a pool's services run: side by side in one nursery, on the addresses of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from iexec_worker.devpool.http.faults import Faults
from iexec_worker.devpool.http.front import Front
from iexec_worker.devpool.http.record import Record
from iexec_worker.devpool.http.service import Service

if TYPE_CHECKING:
    import trio
    from quart_trio import QuartTrio

    from iexec_worker.devpool.options import PoolOptions


@frozen
class Host:
    """Starts services; all share their faults and their record."""

    options: PoolOptions
    nursery: trio.Nursery
    faults: Faults = field(factory=Faults)
    record: Record = field(factory=Record)

    async def serve(
        self, name: str, app: QuartTrio, port: int = 0, *, for_containers: bool = False
    ) -> Service:
        """Start an HTTP service; those *for_containers* where containers reach them."""
        container_host = self.options.container_host if for_containers else ""
        bound = container_host or self.options.host
        service = Service(name, app, self.faults, self.record, bound, port)
        await self.nursery.start(service.run)
        return service

    async def relay(self, upstream: int, port: int) -> Front:
        """Start a relay to a port of this machine."""
        front = Front(upstream, self.options.host, port)
        await self.nursery.start(front.run)
        return front

    def place(self, service: Service | Front, *, for_containers: bool = False) -> str:
        """`host:port` of a service as workers, or containers too, are told it."""
        host = self.options.inner if for_containers else self.options.advertised
        return f"{host}:{service.port}"

    def url(self, service: Service | Front, *, for_containers: bool = False) -> str:
        """The URL of a service."""
        return f"http://{self.place(service, for_containers=for_containers)}"
