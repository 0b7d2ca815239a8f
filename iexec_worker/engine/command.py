"""An app's arguments, split as the marketplace has always split them. Sans-IO."""

from __future__ import annotations

from typing import Final

QUOTES: Final = "'\""

_WORDS: Final = "\x85\xa0\u2007\u202f"
"""White space for Python, words for the JVM, whose idea of "blank" the other workers have."""


def split_command(text: str) -> tuple[str, ...]:
    r"""
    The words of *text*; none, so that the image's own command runs, if it is blank or a quote
    stays open.

    Not a shell's rules, and another argv is another digest: the space alone separates, a quote
    groups what may hold the other one, empty words vanish. A backslash stays where it is and
    takes the power from the next quote, if only spaces outside of quotes stand between them.
    """
    if all(char.isspace() and char not in _WORDS for char in text):
        return ()
    # Characters: a text that grows by each of them would be copied as often, and one of a
    # megabyte stop everything else for half a minute.
    words: list[list[str]] = [[]]
    quote = ""
    escaped = False
    for char in text:
        if char in QUOTES and quote in ("", char):
            if escaped:
                words[-1].append(char)
            else:
                quote = "" if quote else char
            escaped = False
        elif char == " " and not quote:
            words.append([])
        else:
            words[-1].append(char)
            escaped = char == "\\"
    return () if quote else tuple("".join(word) for word in words if word)
