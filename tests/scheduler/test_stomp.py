from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.scheduler import stomp
from tests.scheduler.conftest import TASK, message_frame

TOPIC = f"/topic/task/{TASK}"


def test_frames_are_the_ones_that_springs_broker_takes() -> None:
    assert stomp.connect() == "CONNECT\naccept-version:1.1,1.2\nheart-beat:0,0\n\n\0"
    assert stomp.subscribe(0, TASK) == f"SUBSCRIBE\ndestination:{TOPIC}\nid:0\n\n\0"
    assert stomp.unsubscribe(0) == "UNSUBSCRIBE\nid:0\n\n\0"
    assert stomp.disconnect() == "DISCONNECT\n\n\0"


def test_the_brokers_connected() -> None:
    assert stomp.parse("CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0") == stomp.Connected()


def test_a_message_with_escaped_headers_and_text_beyond_ascii() -> None:
    frame = message_frame(TOPIC, "0", '{"a": "é\\u0000"}').replace("abc-0", "a\\cb")

    assert stomp.parse(frame) == stomp.Message(TASK, {"a": "é\0"})


def test_a_message_without_content_length_and_with_a_line_end_after_it() -> None:
    frame = f"MESSAGE\ndestination:{TOPIC}\nsubscription:0\nmessage-id:1\n\n[]\0\n"

    assert stomp.parse(frame) == stomp.Message(TASK, [])


def test_an_error_tells_its_message() -> None:
    assert stomp.parse("ERROR\nmessage:Session closed.\n\n\0") == stomp.Error("Session closed.")
    assert stomp.parse("ERROR\n\nout of order\0") == stomp.Error("out of order")


@pytest.mark.parametrize("text", ["\n", "RECEIPT\nreceipt-id:1\n\n\0"])
def test_beats_and_receipts_are_nothing(text: str) -> None:
    assert stomp.parse(text) == stomp.Ignorable()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "HELLO\n\n\0",
        "MESSAGE\n",
        f"MESSAGE\ndestination:{TOPIC}\n\n{{\0",
        f"MESSAGE\ndestination:{TOPIC}\n\n\ud800\0",
        f"MESSAGE\ndestination:{TOPIC}\n\n{'[' * 60_000}\0",
        f"MESSAGE\ndestination:{TOPIC}\ncontent-length:99\n\n[]\0",
        "MESSAGE\ndestination:/topic/other\n\n[]\0",
        "MESSAGE\n\n[]\0",
        "SEND\ndestination:/x\n\n\0",
        "CONNECTED\nversion:1.2\n\n\0CONNECTED\nversion:1.2\n\n\0",
    ],
)
def test_what_no_broker_sends_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the texts are the parsers'
        stomp.parse(text)


@given(st.text())
def test_no_text_crashes_the_parser(text: str) -> None:
    for frame in (text, f"MESSAGE\n{text}\n\n{text}\0", f"ERROR\n{text}\0"):
        with contextlib.suppress(ValueError):
            stomp.parse(frame)
