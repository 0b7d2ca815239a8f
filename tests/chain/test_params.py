from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.chain.params import parse_deal_params
from iexec_worker.model import DealParams

FULL = {
    "iexec_args": "--seed 1",
    "iexec_input_files": ["https://a/1", "https://a/2"],
    "iexec_result_encryption": True,
    "iexec_result_storage_provider": "ipfs",
    "iexec_result_storage_proxy": "https://proxy",
    "iexec_secrets": {"1": "name"},
    "bulk_cid": "Qm",
}


def whole(text: str) -> DealParams:
    return DealParams(args=text)


def test_all_keys_are_read() -> None:
    assert parse_deal_params(json.dumps(FULL)) == DealParams(
        args="--seed 1",
        input_files=("https://a/1", "https://a/2"),
        result_encryption=True,
        storage_provider="ipfs",
        storage_proxy="https://proxy",
        secrets={"1": "name"},
        bulk_cid="Qm",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "--plain arguments",
        "[]",
        '"text"',
        "null",
        "5",
        '{"iexec_args": "x"',
        "{'iexec_args': 'x'}",
        '{"iexec_args": "x", "unknown": 1}',
        '{"iexec_args": "x", "iexec_developer_logger": true}',
        '{"iexec_args": "x", "iexec_tee_post_compute_image": "i"}',
        '{"iexec_args": ["x"]}',
        '{"iexec_args": {"x": 1}}',
        '{"iexec_args": NaN}',
        '{"iexec_input_files": "one"}',
        '{"iexec_input_files": [["one"]]}',
        '{"iexec_result_encryption": "maybe"}',
        '{"iexec_result_encryption": 1.5}',
        '{"iexec_result_encryption": []}',
        '{"iexec_secrets": ["x"]}',
        "{" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_whatever_the_scheduler_cannot_read_becomes_the_arguments(text: str) -> None:
    assert parse_deal_params(text) == whole(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", DealParams()),
        ('{"iexec_args": null, "iexec_input_files": null, "iexec_secrets": null}', DealParams()),
        ('{"iexec_args": 1.50}', DealParams(args="1.50")),
        ('{"iexec_args": true}', DealParams(args="true")),
        ('{"iexec_input_files": [1, null]}', DealParams(input_files=("1", ""))),
        ('{"iexec_result_encryption": "TRUE"}', DealParams(result_encryption=True)),
        ('{"iexec_result_encryption": 2}', DealParams(result_encryption=True)),
        ('{"iexec_result_encryption": 0}', DealParams()),
        ('{"iexec_result_encryption": null}', DealParams()),
        ('{"iexec_args": "a", "iexec_args": "b"}', DealParams(args="b")),
        (' \n{"iexec_args": "a"} and more', DealParams(args="a")),
    ],
)
def test_what_the_scheduler_takes_is_taken(text: str, expected: DealParams) -> None:
    assert parse_deal_params(text) == expected


@given(st.text())
def test_any_text_is_read_or_kept_whole(text: str) -> None:
    read = parse_deal_params(text)

    assert read.args == text or text.lstrip().startswith("{")


_TEXT = st.text()
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "iexec_args": _TEXT,
    "iexec_input_files": st.lists(_TEXT),
    "iexec_result_encryption": st.booleans(),
    "iexec_result_storage_provider": _TEXT,
    "iexec_result_storage_proxy": _TEXT,
    "iexec_secrets": st.dictionaries(_TEXT, _TEXT),
    "bulk_cid": _TEXT,
}


@pytest.mark.slow
@given(st.fixed_dictionaries({}, optional=_VALUES))
def test_valid_parameters_survive(fields: dict[str, Any]) -> None:
    read = parse_deal_params(json.dumps(fields))

    assert read.args == fields.get("iexec_args", "")
    assert list(read.input_files) == fields.get("iexec_input_files", [])
    assert read.result_encryption == fields.get("iexec_result_encryption", False)
    assert read.secrets == fields.get("iexec_secrets", {})
    assert read.storage_provider == fields.get("iexec_result_storage_provider", "")


@given(st.fixed_dictionaries({}, optional=_VALUES), st.text().filter(lambda k: k not in _VALUES))
def test_one_unknown_key_spoils_everything(fields: dict[str, Any], key: str) -> None:
    text = json.dumps({**fields, key: None})

    assert parse_deal_params(text) == whole(text)
