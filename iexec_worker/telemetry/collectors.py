"""Series that are read off something that exists anyway: the windows, the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from iexec_worker.telemetry.tree import Node, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from iexec_worker.telemetry.durations import Durations, Stats, Window


class DurationsCollector(Collector):
    """`iexec_{phase}_duration_{min,max,average,samples_count}`; NaN while a window is empty."""

    def __init__(self, wallet: str, durations: Durations) -> None:
        self._wallet = wallet
        self._windows = {
            "pre_compute": durations.pre,
            "app_compute": durations.app,
            "post_compute": durations.post,
        }

    def collect(self) -> Iterator[Metric]:
        for phase, window in self._windows.items():
            yield from self._gauges(phase, window)

    def _gauges(self, phase: str, window: Window) -> Iterator[Metric]:
        for figure, value in _figures(window.stats()).items():
            gauge = GaugeMetricFamily(
                f"iexec_{phase}_duration_{figure}",
                f"{figure} of the last durations of {phase}, in ms",
                labels=["wallet", "phase"],
            )
            gauge.add_metric([self._wallet, phase], value)
            yield gauge


def _figures(stats: Stats) -> dict[str, float]:
    return {
        "min": stats.minimum,
        "max": stats.maximum,
        "average": stats.average,
        "samples_count": stats.count,
    }


class TreeCollector(Collector):
    """
    The supervision tree: the state of its parts, since when, how often they were restarted.

    Replicates are counted, not named: a series for every task ever seen would never end.
    """

    def __init__(self, root: Node) -> None:
        self._root = root

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "iexec_worker_component_up", "1 while the part runs", labels=["component"]
        )
        restarts = CounterMetricFamily(
            "iexec_worker_component_restarts",
            "Restarts by the part's supervisor",
            labels=["component"],
        )
        states = GaugeMetricFamily(
            "iexec_worker_component_state",
            "1 for the state that the part is in",
            labels=["component", "state"],
        )
        since = GaugeMetricFamily(
            "iexec_worker_component_since_timestamp_seconds",
            "When the part came to its state, seconds since the epoch",
            labels=["component"],
        )
        replicates = 0
        for path, node in self._root.walk():
            if "/0x" not in path:
                up.add_metric([path], node.state is State.RUNNING)
                states.add_metric([path, node.state.value], 1)
                since.add_metric([path], node.since)
                restarts.add_metric([path], node.restarts)
            elif node.name.startswith("0x"):
                replicates += 1
        yield from (up, states, since, restarts)
        yield GaugeMetricFamily(
            "iexec_worker_replicates", "Replicates being worked on or waited for", replicates
        )
