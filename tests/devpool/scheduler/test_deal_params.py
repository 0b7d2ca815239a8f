from __future__ import annotations

import json

import pytest

from iexec_worker.devpool.chain.market import params
from iexec_worker.devpool.scheduler.deal_params import Params, read


def test_all_that_a_requester_may_want_is_read() -> None:
    text = params(
        "a b",
        input_files=["http://a"],
        proxy=" http://proxy ",
        encryption=True,
        secrets={"1": "name"},
        bulk="Qm",
    )

    assert read(text, 9) == Params(
        provider="ipfs",
        proxy="http://proxy",
        args="a b",
        input_files=("http://a",),
        encryption=True,
        secrets={"1": "name"},
        bulk_cid="Qm",
    )


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("hello", 9),
        ('["a"]', 9),
        (json.dumps({"iexec_args": "a", "mood": "good"}), 9),
        (json.dumps({"iexec_args": "a", "iexec_developer_logger": True}), 9),
        (json.dumps({"iexec_args": "a", "bulk_cid": "Qm"}), 8),
        (json.dumps({"iexec_args": "a", "iexec_secrets": ["x"]}), 9),
        (json.dumps({"iexec_args": "a", "iexec_input_files": "x"}), 9),
    ],
)
def test_what_does_not_fit_is_all_arguments(text: str, major: int) -> None:
    assert read(text, major) == Params(args=text)
