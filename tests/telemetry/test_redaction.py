from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.secret import Secret
from iexec_worker.telemetry.redaction import Redactor, printable

PASSWORD = 'pä"ss\\w/o rd'


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        repr({"key": PASSWORD}),
        repr(PASSWORD.encode()),
        json.dumps({"key": PASSWORD}),
        f"https://user:{quote(PASSWORD)}@registry.example/v2/",
        f"https://user:{quote(PASSWORD, safe='')}@registry.example/v2/",
        base64.b64encode(PASSWORD.encode()).decode(),
    ],
)
def test_a_secret_is_masked_in_every_form_it_travels_in(form: str) -> None:
    shown = Redactor([Secret(PASSWORD)]).text(form)

    assert "***" in shown
    assert "rd" not in shown


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    redactor = Redactor([Secret("correct"), Secret("correct horse")])

    assert redactor.text("it is correct horse, is it?") == "it is ***, is it?"


def test_an_empty_secret_masks_nothing() -> None:
    assert Redactor([Secret("")]).text("as it is") == "as it is"


def test_a_very_short_secret_is_masked_as_a_word_only() -> None:
    assert Redactor([Secret("a")]).text("a banana, password=a") == "*** banana, password=***"


def test_a_secret_may_be_added_later() -> None:
    redactor = Redactor([Secret("first")])
    redactor.add(Secret("second"))

    assert redactor.text("first, second, third") == "***, ***, third"


def test_values_become_plain_json_without_secrets() -> None:
    redactor = Redactor([Secret("hunter2")])

    assert redactor.value(
        {
            "n": 1,
            "none": None,
            "yes": True,
            "hunter2": ["hunter2", ("x", b"hunter2")],
            "error": ValueError("no hunter2"),
            "secret": Secret("other"),
        }
    ) == {
        "n": 1,
        "none": None,
        "yes": True,
        "***": ["***", ["x", "b'***'"]],
        "error": "ValueError: no ***",
        "secret": "***",
    }


def test_what_acts_on_a_terminal_is_escaped() -> None:
    assert printable("\x1b[2J\r\n\x9b31m\u202e\ud800é🙂") == (
        "\\x1b[2J\\r\\n\\x9b31m\\u202e\\ud800é🙂"
    )


@given(st.text())
def test_any_text_can_be_written_to_any_terminal(text: str) -> None:
    shown = printable(text)

    shown.encode()
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in shown)


@given(
    st.text(st.characters(exclude_characters="0123456789 "), min_size=4),
    st.text("0123456789 "),
    st.text("0123456789 "),
)
def test_no_text_shows_a_registered_secret(secret: str, before: str, after: str) -> None:
    assert Redactor([Secret(secret)]).text(f"{before}{secret}{after}") == f"{before}***{after}"
