"""JSON objects, read as the pool's parser does: strict in names, text from any scalar. Sans-IO."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

#: By the names in the JSON: the field here, and what reads its value.
Readers = Mapping[str, tuple[str, Callable[[object], Any]]]

_SPACE: Final = " \t\r\n"


class Number(str):
    """A JSON number as it was written: a text field takes it in that spelling."""

    __slots__ = ()


def read_object(text: str, readers: Readers, what: str) -> dict[str, Any]:
    """
    Read the object that *text* begins with; what follows it is ignored.

    Raises ValueError, which names *what* was wanted, for anything but an object, a name without a
    reader, and a value that its reader refuses, be it with a TypeError or a KeyError.
    """
    try:
        values, _ = _DECODER.raw_decode(text.lstrip(_SPACE))
        return dict(_field(readers, name, value) for name, value in values.items())
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not {what}") from error


def read_text(value: object) -> str:
    """Return any scalar as text; null is empty."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return str(value)
    raise TypeError("not text")


def _field(readers: Readers, name: str, value: object) -> tuple[str, Any]:
    field, read = readers[name]
    return field, read(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse)
