from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.scheduler.sockjs import (
    LONGEST_FRAME,
    Closed,
    Decoder,
    Event,
    Heartbeat,
    Malformed,
    Messages,
    Opened,
    decode,
    encode,
)

STREAM = b"h" * 2048 + b'\no\nh\na["one","tw\\u0000\\n\xc3\xa9"]\n\r\na[]\nc[3000,"Go away!"]\n'
EVENTS = [
    Heartbeat(),
    Opened(),
    Heartbeat(),
    Messages(("one", "tw\0\né")),
    Messages(()),
    Closed(3000, "Go away!"),
]


def decoded(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.end()]


def test_a_streaming_answer() -> None:
    assert decoded(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM))))
def test_frames_do_not_depend_on_the_pieces_they_come_in(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]

    assert decoded(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == EVENTS


def test_a_frame_is_known_as_soon_as_its_line_ends() -> None:
    decoder = Decoder()

    assert list(decoder.feed(b'a["x"]')) == []
    assert list(decoder.feed(b"\nh")) == [Messages(("x",))]


def test_a_close_without_a_line_end_counts_when_the_answer_ends() -> None:
    assert decoded(b'c[3000,"Go away!"]') == [Closed(3000, "Go away!")]


@pytest.mark.parametrize(
    "frame",
    [
        "x",
        "oo",
        "hello",
        "a",
        "a{",
        "a{}",
        "a[1]",
        'a"x"',
        "c",
        "c[]",
        'c["x",1]',
        "[]",
        "<html>",
        "a" + "[" * 100_000,
        "\0",
    ],
)
def test_what_is_no_frame_says_so_briefly(frame: str) -> None:
    event = decode(frame)

    assert isinstance(event, Malformed)
    assert len(event.problem) < 200
    assert event.problem.isprintable()


@given(st.binary())
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    decoded(data)


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    decoder = Decoder()
    events = [event for _ in range(5) for event in decoder.feed(b"a" * (LONGEST_FRAME // 4))]

    assert len(events) == 1
    assert isinstance(events[0], Malformed)


@given(st.lists(st.text()))
def test_what_is_sent_is_an_array_of_the_same_texts(texts: list[str]) -> None:
    sent = encode(texts)

    assert json.loads(sent) == texts
    assert sent.isascii()
