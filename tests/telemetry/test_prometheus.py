from __future__ import annotations

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from iexec_worker import __version__
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node, State

WALLET = "0x1a69b2eb604db8eba185df03ea4f5288dcbbd248"


@pytest.fixture
def durations() -> Durations:
    return Durations(3)


@pytest.fixture
def root() -> Node:
    return Node("root", State.RUNNING)


@pytest.fixture
def metrics(durations: Durations, root: Node) -> Metrics:
    return Metrics(WALLET, durations, root)


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


@pytest.mark.parametrize("phase", ["pre_compute", "app_compute", "post_compute"])
def test_the_seeds_gauges_are_there_before_anything_ran(metrics: Metrics, phase: str) -> None:
    labels = f'{{phase="{phase}",wallet="{WALLET}"}}'

    assert [line for line in lines(metrics) if line.startswith(f"iexec_{phase}_")] == [
        f"iexec_{phase}_duration_min{labels} NaN",
        f"iexec_{phase}_duration_max{labels} NaN",
        f"iexec_{phase}_duration_average{labels} NaN",
        f"iexec_{phase}_duration_samples_count{labels} 0.0",
    ]


def test_the_seeds_gauges_slide_with_their_window(metrics: Metrics, durations: Durations) -> None:
    for ms in (1.0, 3835.0, 3928.0, 3800.0):
        durations.pre.add(ms)

    labels = f'{{phase="pre_compute",wallet="{WALLET}"}}'
    written = lines(metrics)
    assert f"iexec_pre_compute_duration_min{labels} 3800.0" in written
    assert f"iexec_pre_compute_duration_max{labels} 3928.0" in written
    assert f"iexec_pre_compute_duration_average{labels} 3854.3333333333335" in written
    assert f"iexec_pre_compute_duration_samples_count{labels} 3.0" in written


def test_complete_durations_are_no_series(metrics: Metrics, durations: Durations) -> None:
    durations.complete.add(1.0)

    assert "complete" not in metrics.render().decode()


def test_the_originals_other_series_have_its_names_and_labels(metrics: Metrics) -> None:
    metrics.chain_block_latest.set(1234)
    metrics.wallet_tx_count.labels("pending").set(3)
    metrics.poco_transactions.labels("success").inc()

    written = lines(metrics)
    version = f"{__version__}+protocol.8.6-9.2"
    for line in (
        "# TYPE iexec_version_info gauge",
        f'iexec_version_info{{iexecAppName="iexec-worker",iexecAppVersion="{version}"}} 1.0',
        "# TYPE iexec_chain_block_latest gauge",
        "iexec_chain_block_latest 1234.0",
        "# TYPE iexec_chain_wallet_tx_count gauge",
        'iexec_chain_wallet_tx_count{block="latest"} 0.0',
        'iexec_chain_wallet_tx_count{block="pending"} 3.0',
        "# TYPE iexec_poco_transaction_total counter",
        'iexec_poco_transaction_total{status="success"} 1.0',
        'iexec_poco_transaction_total{status="failure"} 0.0',
    ):
        assert line in written


def test_our_series_have_base_units_and_histograms(metrics: Metrics) -> None:
    metrics.stage_duration.labels("COMPUTED", "success").observe(2.5)
    metrics.ping_duration.observe(0.02)
    metrics.slots.set(7)
    metrics.slots_used.set(2)
    metrics.pull_bytes.inc(1024)

    written = lines(metrics)
    stage, labels = "iexec_worker_stage_duration_seconds", 'outcome="success",stage="COMPUTED"'
    for line in (
        f'{stage}_bucket{{le="1.0",{labels}}} 0.0',
        f'{stage}_bucket{{le="5.0",{labels}}} 1.0',
        f"{stage}_sum{{{labels}}} 2.5",
        "iexec_worker_ping_duration_seconds_count 1.0",
        "iexec_worker_slots 7.0",
        "iexec_worker_slots_used 2.0",
        "iexec_worker_pull_bytes_total 1024.0",
    ):
        assert line in written


def test_the_tree_is_read_when_asked(metrics: Metrics, root: Node) -> None:
    with root.child("membership") as membership, membership.child("link") as link:
        membership.enter(State.RUNNING)
        link.enter(State.BACKOFF)
        link.restarts, link.since = 2, 5
        written = lines(metrics)
    after = lines(metrics)

    assert 'iexec_worker_component_up{component="root"} 1.0' in written
    assert 'iexec_worker_component_up{component="root/membership"} 1.0' in written
    assert 'iexec_worker_component_up{component="root/membership/link"} 0.0' in written
    assert 'iexec_worker_component_restarts_total{component="root/membership/link"} 2.0' in written
    link_labels = 'component="root/membership/link"'
    assert f'iexec_worker_component_state{{{link_labels},state="backoff"}} 1.0' in written
    assert f"iexec_worker_component_since_timestamp_seconds{{{link_labels}}} 5.0" in written
    assert "membership" not in "\n".join(after)


def test_replicates_are_counted_not_named(metrics: Metrics, root: Node) -> None:
    with (
        root.child("replicates") as replicates,
        replicates.child("0xabc"),
        replicates.child("0xdef") as replicate,
        replicate.child("pull"),
    ):
        written = lines(metrics)

    assert "iexec_worker_replicates 2.0" in written
    assert "0xabc" not in "\n".join(written)
    assert "pull" not in "\n".join(line for line in written if "component" in line)


def test_no_created_series_are_written(metrics: Metrics) -> None:
    metrics.stage_duration.labels("COMPUTED", "success").observe(1)

    assert "_created" not in metrics.render().decode()


def test_two_workers_in_one_process_do_not_share_series(metrics: Metrics) -> None:
    other = Metrics("0x0", Durations(1), Node("root"))
    other.slots.set(3)

    assert "iexec_worker_slots 0.0" in lines(metrics)


def test_the_process_and_its_memory_are_told(metrics: Metrics) -> None:
    names = {family.name for family in text_string_to_metric_families(metrics.render().decode())}

    assert "process_resident_memory_bytes" in names
    assert "python_gc_collections" in names


def test_prometheus_reads_every_line(metrics: Metrics) -> None:
    families = list(text_string_to_metric_families(metrics.render().decode()))

    minimum = next(f for f in families if f.name == "iexec_app_compute_duration_min")
    assert math.isnan(minimum.samples[0].value)
    assert all(family.documentation for family in families)
