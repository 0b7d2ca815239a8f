from __future__ import annotations

import json

from iexec_worker.tee.model import Part, Service, Services, TeeSession, TeeState
from iexec_worker.wire import converter

STATE = TeeState(
    Services(
        pre=Service("pre:1", "f1", "python3 /app/app.py", 3),
        post=Service("post:1", env={"SIGN_TEE_CHALLENGE_PRIVATE_KEY": "0x5ec4e7"}),
        app=Service("app:1", heap=5),
        las_image="las:1",
    ),
    TeeSession("5e5510nId", "cas:1"),
)


def test_the_state_is_the_same_after_a_visit_to_the_journal() -> None:
    text = json.dumps(converter().unstructure(STATE))

    assert converter().structure(json.loads(text), TeeState) == STATE


def test_names_in_an_environment_keep_their_spelling_in_the_journal() -> None:
    text = json.dumps(converter().unstructure(STATE))

    assert "SIGN_TEE_CHALLENGE_PRIVATE_KEY" in text


def test_the_state_in_a_log_has_no_secret() -> None:
    assert "0x5ec4e7" not in repr(STATE)
    assert "5e5510nId" not in repr(STATE)


def test_each_part_finds_its_service() -> None:
    services = STATE.services

    assert [services.of(part) for part in Part] == [services.pre, services.app, services.post]
