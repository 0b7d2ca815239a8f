"""The durations as JSON (the seed's `/metrics`) and every series for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint, Response

from iexec_worker.server.replies import reply
from iexec_worker.telemetry.prometheus import CONTENT_TYPE

if TYPE_CHECKING:
    from iexec_worker.server.view import View
    from iexec_worker.telemetry.durations import Durations, Window


def routes(view: View) -> Blueprint:
    """Return `/metrics` and `/actuator/prometheus`."""
    blueprint = Blueprint("figures", __name__)

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        return reply(_durations(view.durations))

    @blueprint.get("/actuator/prometheus")
    async def prometheus() -> Response:
        return Response(view.metrics.render(), content_type=CONTENT_TYPE)

    return blueprint


def _durations(durations: Durations) -> dict[str, dict[str, float]]:
    """Fields and order are the original's."""
    return {
        "preComputeDurations": _figures(durations.pre),
        "appComputeDurations": _figures(durations.app),
        "postComputeDurations": _figures(durations.post),
        "completeComputeDurations": _figures(durations.complete),
    }


def _figures(window: Window) -> dict[str, float]:
    stats = window.stats()
    # JSON has no NaN.
    empty = stats.count == 0
    return {
        "minDuration": 0.0 if empty else float(stats.minimum),
        "maxDuration": 0.0 if empty else float(stats.maximum),
        "averageDuration": 0.0 if empty else float(stats.average),
        "durationSamplesCount": stats.count,
    }
