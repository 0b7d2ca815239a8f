"""How an embedded pool is to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from iexec_worker.devpool.broker.sockjs import SockJsSettings
from iexec_worker.devpool.scheduler.settings import SchedulerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.model import TeeFramework


@frozen
class PoolOptions:
    """
    One pool. *cache* holds the tools, downloaded once; *folder* logs and results.

    Services listen on *host*; workers are told *advertised*, for those in containers an address
    of the container network. Port 0 takes a free one. *scheduler* needs no addresses: they are
    filled in.

    TEE tasks of the *frameworks* are taken, each has an SMS. Their containers talk to some services
    themselves: those listen on *container_host*, where it is given, an address of this machine
    that containers reach, such as the gateway of their network.
    """

    cache: Path
    folder: Path
    host: str = "127.0.0.1"
    advertised: str = "127.0.0.1"
    scheduler_port: int = 0
    result_proxy_port: int = 0
    config_server_port: int = 0
    node_port: int = 0
    chain_id: int = 65_535
    gas_price: int = 1_000_000_000
    frameworks: tuple[TeeFramework, ...] = ()
    container_host: str = ""
    scheduler: SchedulerSettings = field(factory=SchedulerSettings)
    sockjs: SockJsSettings = field(factory=SockJsSettings)

    @property
    def inner(self) -> str:
        """The address of the services that containers talk to, too."""
        return self.container_host or self.advertised


def worker_names(count: int) -> tuple[str, ...]:
    """Return what workers of a pool are called when nobody says otherwise."""
    return tuple(f"worker-{number}" for number in range(1, count + 1))
