"""The fields of a stranger's JSON, read with their types checked. Sans-IO."""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import frozen

#: Java's longs end there; beyond a float's range Python would raise other errors.
_TOO_BIG: Final = 2**63


@frozen
class Fields:
    """A JSON object whose fields are read with their types checked."""

    values: dict[str, Any]

    @classmethod
    def of(cls, value: object, what: str) -> Fields:
        if not isinstance(value, dict):
            raise ValueError(f"{what} is not a JSON object")  # noqa: TRY004 - one error for bad JSON
        return cls(value)

    def text(self, name: str) -> str:
        """A string; missing and null are empty."""
        value = self.values.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ValueError(f"{name} is not a string")  # noqa: TRY004 - one error for bad JSON
        return value

    def lower(self, name: str) -> str:
        """An address or a hash: `0x` and hex in lower case."""
        value = self.text(name).lower()
        if not re.fullmatch(r"0x[0-9a-f]+", value):
            raise ValueError(f"{name} is not 0x and hex")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number; *default* stands for missing and null."""
        value = self.values.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _TOO_BIG:
            raise ValueError(f"{name} is not a whole number")
        return value

    def inner(self, name: str) -> Fields:
        return Fields.of(self.values.get(name), name)

    def inner_or_none(self, name: str) -> Fields | None:
        return None if self.values.get(name) is None else self.inner(name)


def brief(value: object) -> str:
    """Return the beginning of a stranger's *value* on one line of ASCII, fit for a log."""
    return ascii(value)[:120]
