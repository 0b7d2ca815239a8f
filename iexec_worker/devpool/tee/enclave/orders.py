"""
Misbehaviour on demand: words in what the requester gave, addressed to a part of the task.

A dataset or input file that begins with `pre-compute:` orders the pre-compute, an argument of the
app that begins with `post:` the post-compute. The words:

    sleep=SECONDS       waits that long first           exit=CODE       exits so at the end
    causes=A,B          tells these causes, exits 1     form=9.1        calls as 9.1 (or 8.x) did
    authorize=other     calls with another key          sign=other      signs the result with one
    digest=0xHEX        tells another digest            task=0xID       tells another task's id
    send=2              sends the computed file twice   upload=no       does not upload
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FOR_PRE: Final = "pre-compute:"
_FOR_POST: Final = "argument: [post:"


def for_pre_compute(files: Iterable[bytes]) -> dict[str, str]:
    """Orders in the first lines of what was downloaded."""
    lines = (content.partition(b"\n")[0].decode("utf-8", "replace") for content in files)
    ours = (line.removeprefix(_FOR_PRE) for line in lines if line.startswith(_FOR_PRE))
    return _read(word for line in ours for word in line.split())


def for_post_compute(written: str) -> dict[str, str]:
    """Orders in what the app wrote of its arguments."""
    lines = (line for line in written.splitlines() if line.startswith(_FOR_POST))
    return _read(line.removeprefix(_FOR_POST).removesuffix("]") for line in lines)


def causes(orders: Mapping[str, str]) -> tuple[str, ...]:
    """The causes that are to be told."""
    return tuple(filter(None, orders.get("causes", "").split(",")))


def _read(words: Iterable[str]) -> dict[str, str]:
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}
