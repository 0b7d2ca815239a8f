"""
The series of `/actuator/prometheus`, in a registry of their own.

`iexec_…` are the original's, names and labels as Micrometer writes them, durations in ms;
`iexec_worker_…` are ours, in base units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from iexec_worker.telemetry.collectors import DurationsCollector, TreeCollector
from iexec_worker.versions import FULL_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from iexec_worker.telemetry.durations import Durations
    from iexec_worker.telemetry.tree import Node

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

#: Seconds. A stage takes from a tenth of a second to the longest category (XL, 10 h).
STAGE_BUCKETS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 1200, 3600, 10800, 36000)
#: Seconds. A ping takes milliseconds; after 10 s the next one is due.
PING_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

#: "oom": it used up its memory; "quota": it was stopped for what it wrote.
APP_ENDS: Final = ("success", "failure", "timeout", "oom", "quota")


class Metrics:
    """
    Every series, to be set by whoever knows the value; may be used from any thread.

    *wallet* is the worker's address. Durations and the tree are read when asked for.
    """

    def __init__(self, wallet: str, durations: Durations, root: Node) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(DurationsCollector(wallet, durations))
        registry.register(TreeCollector(root))
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        _add_version(registry)
        self._add_chain(registry)
        self._add_work(registry)

    def _add_chain(self, registry: CollectorRegistry) -> None:
        self.chain_block_latest = Gauge(
            "iexec_chain_block_latest", "Latest block seen", registry=registry
        )
        #: Label *block*: "latest" counts mined transactions, "pending" those sent too.
        self.wallet_tx_count = Gauge(
            "iexec_chain_wallet_tx_count",
            "Transactions of the wallet",
            ["block"],
            registry=registry,
        )
        #: Label *status*: "success" or "failure".
        self.poco_transactions = Counter(
            "iexec_poco_transaction",
            "PoCo transactions by their end",
            ["status"],
            registry=registry,
        )
        for block in ("latest", "pending"):
            self.wallet_tx_count.labels(block)
        for status in ("success", "failure"):
            self.poco_transactions.labels(status)

    def _add_work(self, registry: CollectorRegistry) -> None:
        #: Labels *stage*, as the status it ends with, and *outcome*: a few words, no texts.
        self.stage_duration = Histogram(
            "iexec_worker_stage_duration_seconds",
            "Duration of a replicate's stages",
            ["stage", "outcome"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self.ping_duration = Histogram(
            "iexec_worker_ping_duration_seconds",
            "Time until the scheduler answered a ping",
            buckets=PING_BUCKETS,
            registry=registry,
        )
        self.slots = Gauge("iexec_worker_slots", "Compute slots", registry=registry)
        self.slots_used = Gauge(
            "iexec_worker_slots_used", "Compute slots in use", registry=registry
        )
        #: Label *end*: how the app ended.
        self.app_ends = Counter(
            "iexec_worker_app_ends", "Apps by how they ended", ["end"], registry=registry
        )
        for end in APP_ENDS:
            self.app_ends.labels(end)
        self.pull_bytes = Counter(
            "iexec_worker_pull_bytes", "Bytes of images pulled", registry=registry
        )

    def render(self) -> bytes:
        """Return all series in Prometheus' text format, of type `CONTENT_TYPE`."""
        return generate_latest(_WithoutCreated(self._registry))


class _WithoutCreated(Collector):
    """
    Leaves out the `…_created` series, which the original does not have.

    The library's own switch for that is global to the process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [
                sample for sample in metric.samples if sample.name != f"{metric.name}_created"
            ]
            yield metric


def _add_version(registry: CollectorRegistry) -> None:
    version = Info("iexec_version", "What runs here", registry=registry)
    version.info({"iexecAppVersion": FULL_VERSION, "iexecAppName": "iexec-worker"})
