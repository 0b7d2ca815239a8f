"""Deal parameters, read exactly as the scheduler reads them: it is Java, and strict. Sans-IO."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NoReturn

from iexec_worker.model import DealParams

if TYPE_CHECKING:
    from collections.abc import Callable

_JSON_SPACE: Final = " \t\r\n"


class _Number(str):
    """A JSON number as it was written: a text field takes it in that spelling."""

    __slots__ = ()


def parse_deal_params(text: str) -> DealParams:
    """
    Read the `params` of a deal; never fails.

    Text that is no JSON object, has one key that is unknown (the ones that only 8.x knew are)
    or one value of a wrong type becomes the arguments as a whole, all else is default. Scalars
    are taken for text, as the scheduler's parser does, and what follows the object is ignored.
    """
    try:
        fields, _ = _DECODER.raw_decode(text.lstrip(_JSON_SPACE))
        if not isinstance(fields, dict):
            raise TypeError("not an object")  # noqa: TRY301 - every failure has one consequence
        return DealParams(**dict(_field(key, value) for key, value in fields.items()))
    except (ValueError, TypeError, KeyError, RecursionError):
        return DealParams(args=text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_int=_Number, parse_float=_Number, parse_constant=_refuse)


def _field(key: str, value: object) -> tuple[str, Any]:
    name, read = _FIELDS[key]
    return name, read(value)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            return str(value)
    raise TypeError("not text")


def _flag(value: object) -> bool:
    match value:
        case None | False | "" | "false" | "False" | "FALSE":
            return False
        case _Number():
            return str(int(value)) != "0"
        case True | "true" | "True" | "TRUE":
            return True
    raise TypeError("not a boolean")


def _texts(value: object) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case list():
            return tuple(map(_text, value))
    raise TypeError("not a list")


def _table(value: object) -> dict[str, str]:
    match value:
        case None:
            return {}
        case dict():
            return {key: _text(item) for key, item in value.items()}
    raise TypeError("not an object")


_FIELDS: Final[dict[str, tuple[str, Callable[[object], Any]]]] = {
    "iexec_args": ("args", _text),
    "iexec_input_files": ("input_files", _texts),
    "iexec_result_encryption": ("result_encryption", _flag),
    "iexec_result_storage_provider": ("storage_provider", _text),
    "iexec_result_storage_proxy": ("storage_proxy", _text),
    "iexec_secrets": ("secrets", _table),
    "bulk_cid": ("bulk_cid", _text),
}
