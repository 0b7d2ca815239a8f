"""Looking after what the worker depends on, for readiness and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import structlog
import trio
from attrs import define

from iexec_worker.errors import Fatal, WorkerError
from iexec_worker.supervise import every

if TYPE_CHECKING:
    from iexec_worker.chain.hub import Hub
    from iexec_worker.engine.client import Engine
    from iexec_worker.engine.sandbox import Sandbox
    from iexec_worker.telemetry.prometheus import Metrics
    from iexec_worker.telemetry.tree import Node

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

#: Seconds: as fresh as an orchestrator's readiness probe, which asks every 10 s.
PERIOD: Final = 10.0

#: The runtime with which engines start containers that ask for GPUs.
_NVIDIA: Final = "nvidia"


@define(eq=False)
class EngineWatch:
    """
    Pings the engine; *trouble* says why it is not usable, empty when it is.

    An engine that came up is usable when the *sandbox* for apps is prepared, and kept.
    *gpus*: GPUs are promised to the pool, so the engine is asked for them when it comes up.
    """

    engine: Engine
    node: Node
    sandbox: Sandbox
    gpus: bool
    trouble: str = "not asked yet"

    async def run(self, *, task_status: trio.TaskStatus[None]) -> NoReturn:
        """Ping for ever; started at once, because an engine may come up later."""
        task_status.started()
        async for _ in every(PERIOD):
            before = self.trouble
            try:
                with trio.fail_after(PERIOD):
                    await self.engine.ping()
                    await (self.sandbox.prepare() if before else self.sandbox.keep())
                self.trouble = ""
                if before and self.gpus:
                    await self._look_for_gpus()
            except Fatal:
                raise
            except (WorkerError, trio.TooSlowError) as error:
                self.trouble = f"the container engine does not answer: {error}"
            self.node.doing = self.trouble or "the container engine answers"
            if self.trouble and self.trouble != before:
                log.warning("engine away", reason=self.trouble)
        raise AssertionError("every() never ends")

    async def _look_for_gpus(self) -> None:
        """Say so early when tasks with GPU will not even start."""
        info = await self.engine.call(lambda api: api.info())
        if not (_NVIDIA in info.get("Runtimes", {}) or info.get("DiscoveredDevices")):
            log.warning(
                "IEXEC_WORKER_GPU_ENABLED is true, but the engine knows no GPU: install the NVIDIA "
                "container toolkit, or set it to false"
            )


async def count_transactions(
    hub: Hub, metrics: Metrics, *, task_status: trio.TaskStatus[None]
) -> NoReturn:
    """Keep `iexec_chain_wallet_tx_count` up to date; a node that is away leaves the last value."""
    task_status.started()
    async for _ in every(PERIOD):
        try:
            latest, pending = await hub.transaction_counts()
        except WorkerError as error:
            log.debug("transaction counts unknown", reason=str(error))
        else:
            metrics.wallet_tx_count.labels("latest").set(latest)
            metrics.wallet_tx_count.labels("pending").set(pending)
    raise AssertionError("every() never ends")
