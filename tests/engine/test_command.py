from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iexec_worker.engine.command import split_command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("   ", ()),
        ("\t\n", ()),
        ("a  b ", ("a", "b")),
        ("a\tb\nc d", ("a\tb\nc", "d")),
        ("1st '2nd one' \"3rd one\"", ("1st", "2nd one", "3rd one")),
        ("a'b c'd", ("ab cd",)),
        ('it"\'"s', ("it's",)),
        ("a '' \"\" b", ("a", "b")),
        ("''", ()),
        ("open 'quote", ()),
        ('open "quote', ()),
        (r'"say \"hi\""', (r"say \"hi\"",)),
        (r"'it\'s'", (r"it\'s",)),
        (r"a\ b", ("a\\", "b")),
        (r"\\", (r"\\",)),
        (r'\\"', (r"\\" + '"',)),
        (r"\n", (r"\n",)),
        # The backslash waits for its quote over spaces outside of quotes…
        (r"a\  'b", ("a\\", "'b")),
        # … and over nothing else.
        (r"a\ b 'c d'", ("a\\", "b", "c d")),
        (r"'\ ' b", (r"\ ", "b")),
        ("\xa0", ("\xa0",)),
        ("é 日本", ("é", "日本")),
    ],
)
def test_arguments_are_split_as_the_marketplace_does(text: str, words: tuple[str, ...]) -> None:
    assert split_command(text) == words


TOKEN = re.compile(
    r"""
      (?P<literal>\\)(?P<gap>[ ]*)(?P<quote>['"])
    | '(?P<single>(?:\\'|[^'])*?)(?<!\\)'
    | "(?P<double>(?:\\"|[^"])*?)(?<!\\)"
    | (?P<open>['"])
    | (?P<space>[ ])
    | (?P<plain>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def second_opinion(text: str) -> tuple[str, ...]:
    """The same rules as a grammar: what is between two words is a space that is no part of one."""
    if not re.sub(r"\s", "", text):
        return ()
    # NUL stands for the end of a word: a text for an argv has none of its own.
    found = ""
    for token in TOKEN.finditer(text):
        if token["open"]:
            return ()
        if token["literal"]:
            found += "\\" + ("\0" if token["gap"] else "") + token["quote"]
        elif token["space"]:
            found += "\0"
        else:
            found += token["single"] or token["double"] or token["plain"] or ""
    return tuple(word for word in found.split("\0") if word)


@given(st.text(alphabet="ab '\"\\\t\né", max_size=30))
def test_a_second_implementation_agrees(text: str) -> None:
    assert split_command(text) == second_opinion(text)
