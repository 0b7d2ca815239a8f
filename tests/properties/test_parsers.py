"""
The readers of outside data end as they say they do, in time, whatever they are given.

What "as they say" is for each of them is in `tests/fuzz/targets.py`.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS
from tests.fuzz.words import NAMES, WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

#: Bytes that one reader is given at most: what a transaction holds is less.
LARGE: Final = 300_000

#: Seconds and bytes that it may take for them, on a machine that others use as well. What grows
#: with the square of an input takes minutes and gigabytes.
SECONDS: Final = 15
MEMORY: Final = 100 * LARGE

_SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, 2**63, -1])
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(st.characters(), max_size=20)
)
_JSON: Final = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=20,
)


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def _lines(kinds: str) -> SearchStrategy[bytes]:
    frame = st.tuples(st.sampled_from(kinds), _JSON.map(json.dumps) | st.just("")).map("".join)
    return st.lists(frame, max_size=4).map(lambda frames: "\n".join(frames).encode())


def _stomp() -> SearchStrategy[bytes]:
    command = st.sampled_from(("MESSAGE", "CONNECTED", "ERROR", "RECEIPT", "SEND", "", "\\x"))
    header = st.sampled_from(
        ("destination:/topic/task/0xa", "content-length:3", "content-length:-1", "a", ":", "a\\q:b")
    )
    return st.builds(
        lambda command, headers, body, end: "\n".join([command, *headers, "", body]).encode() + end,
        command,
        st.lists(header, max_size=4),
        _JSON.map(json.dumps),
        st.sampled_from((b"\0", b"", b"\0\0", b"\0\n")),
    )


def _joined(*parts: str) -> SearchStrategy[bytes]:
    """Texts made of what readers of that kind look for."""
    part = st.sampled_from(parts) | st.text(max_size=3)
    return st.lists(part, max_size=12).map(lambda found: "".join(found).encode(*_ANY))


_ANY: Final = ("utf-8", "surrogatepass")


def _contract() -> SearchStrategy[bytes]:
    """Answers with wrong words in them: pointers and lengths that lead anywhere."""
    word = st.sampled_from((0, 1, 32, 64, 384, 2**32, 2**255, 2**256 - 1)) | st.integers(0, 500)
    return st.lists(word.map(lambda number: number.to_bytes(32, "big")), max_size=30).map(b"".join)


def _enclave() -> SearchStrategy[object]:
    """Objects that may be good but for one part or another."""
    return st.fixed_dictionaries(
        {"fingerprint": st.just(64 * "f") | _SCALARS, "framework": st.just("SCONE") | _SCALARS},
        optional={"entrypoint": _SCALARS, "heapSize": _SCALARS, "version": _JSON, "id": _SCALARS},
    )


_SHAPED: Final[dict[str, SearchStrategy[bytes]]] = {
    "deal-params": _JSON.map(_encoded),
    "command": _joined(" ", "'", '"', "\\", "a", "\t", "\u2007"),
    "computed-file": _JSON.map(_encoded),
    "reports": _JSON.map(_encoded),
    "multiaddress": st.binary(max_size=140).map(b"\xa5\x03".__add__)
    | _joined("/ipfs/", "/p2p/", "..", "%2e", "%2f", "\\", "?", "#", "Qm", "//", "@"),
    "url": _joined(
        *("http://", "https://", "file:", "data:", "//", "/", "@", ":", "#", "?", "[", "]", "%"),
        *("127.0.0.1", "0x7f", "::ffff:", "::1", "localhost", "a.test", "①", "。", "xn--", ".."),
    ),
    "image-name": _joined("a", "/", ":", "@", ".", "-", "_", "sha256", 64 * "a", "localhost", "1"),
    "sockjs": _lines("oahc"),
    "stomp": _stomp(),
    "pool-json": _JSON.map(_encoded),
    "duration": _joined("P", "T", "D", "S", "M", "Y", "W", "1", ".", ",", "-", "9" * 400, "e"),
    "journal": _JSON.map(_encoded)
    | _JSON.map(lambda record: _encoded({"version": 1, "record": record})),
    "rpc": _JSON.map(_encoded) | st.lists(_JSON, max_size=3).map(_encoded),
    "contract": _contract(),
    "enclave": _enclave().map(_encoded),
    "sms": _JSON.map(_encoded),
    "tdx-session": _JSON.map(_encoded),
}


def test_every_target_has_its_shapes() -> None:
    assert set(_SHAPED) == set(TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_reader_raises_nothing_but_what_it_documents(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(_SHAPED[name] | st.binary(max_size=300)))


def _kept() -> list[tuple[str, str]]:
    return sorted((path.parent.name, path.name) for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize(("name", "file"), _kept())
def test_what_was_found_once_is_not_found_again(name: str, file: str) -> None:
    TARGETS[name]((CORPUS / name / file).read_bytes())


def _nested(opening: str, closing: str) -> bytes:
    count = LARGE // (len(opening) + len(closing))
    return (count * opening + "1" + count * closing).encode()


#: Of each the most that fits: one long word, one long number, deep nesting, many small parts.
_LARGE: Final[dict[str, Callable[[], bytes]]] = {
    "word": lambda: LARGE * b"a",
    "spaces": lambda: LARGE * b" ",
    "backslashes": lambda: LARGE * b"\\",
    "quotes": lambda: LARGE * b"'",
    "digits": lambda: b"1" * LARGE,
    "a JSON number": lambda: b'{"id": ' + b"1" * LARGE + b"}",
    "a JSON fraction": lambda: b'{"id": 0.' + b"1" * LARGE + b"}",
    "arguments": lambda: b'{"iexec_args": "' + b"a" * LARGE + b'"}',
    "lists": lambda: _nested("[", "]"),
    "objects": lambda: _nested('{"result":', "}"),
    "open lists": lambda: LARGE * b"[",
    "a list": lambda: b"[" + (LARGE // 2 - 1) * b"1," + b"1]",
    "frames": lambda: (LARGE // 2) * b"h\n",
    "messages": lambda: b"a[" + (LARGE // 6) * b'"\\n",' + b'"x"]',
    "headers": lambda: b"MESSAGE\n" + (LARGE // 4) * b"a:b\n" + b"\n\0",
    "beats": lambda: LARGE * b"\n",
    "slashes": lambda: b"a/" * (LARGE // 2) + b":1",
    "dashes": lambda: b"a-" * (LARGE // 2) + b"!:1",
    "dots": lambda: b"http://" + b"1." * (LARGE // 2),
    "percents": lambda: b"/ipfs/" + b"%2e" * (LARGE // 3),
    "a duration": lambda: b"PT" + b"1" * LARGE + b"S",
    "a duration in parts": lambda: b"P" + b"1D" * (LARGE // 2),
    "an IPFS hash": lambda: b"\xa5\x03\x7f" + b"\xff" * 127,
    "a URL with a large host": lambda: b"http://" + b"a" * LARGE + b"/",
    "zeros": lambda: bytes(LARGE),
    "a tuple of pointers": lambda: (32).to_bytes(32, "big") * (LARGE // 32),
}


def _seconds(name: str, content: bytes) -> float:
    began = time.process_time()
    TARGETS[name](content)
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_is_done_with_what_is_large_in_seconds(name: str) -> None:
    took = {kind: _seconds(name, make()) for kind, make in _LARGE.items()}
    assert {kind: seconds for kind, seconds in took.items() if seconds > SECONDS} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_takes_memory_by_the_size_of_what_it_reads(name: str) -> None:
    most: dict[str, int] = {}
    for kind in ("word", "lists", "a list", "messages", "headers", "zeros", "a tuple of pointers"):
        content = _LARGE[kind]()[: LARGE // 3]  # everything is slow while memory is traced
        tracemalloc.start()
        try:
            TARGETS[name](content)
            most[kind] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert {kind: peak for kind, peak in most.items() if peak > MEMORY} == {}
