from __future__ import annotations

import json
from pathlib import Path

from iexec_worker.devpool.scheduler import transitions
from iexec_worker.wire import Status

VECTORS = Path(__file__).parent.parent / "vectors"


def test_the_rules_give_the_recorded_table() -> None:
    recorded = json.loads((VECTORS / "replicate_workflow.json").read_text())

    derived = {
        current.value: {s.value for s in Status if transitions.allowed(current, s)}
        for current in Status
    }

    table = {status.value: set(recorded.get(status.value) or ()) for status in Status}
    assert derived == table


def test_what_the_chain_is_ahead_is_filled_in_up_to_the_status_wanted() -> None:
    assert transitions.missing(Status.COMPUTED, Status.CONTRIBUTED) == (
        Status.CONTRIBUTING,
        Status.CONTRIBUTED,
    )
    assert transitions.missing(Status.APP_DOWNLOAD_FAILED, Status.CONTRIBUTED) == (
        Status.CONTRIBUTED,
    )
