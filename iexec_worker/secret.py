"""A text that must not be seen: passwords, and URLs' parts that are as good as one."""

from __future__ import annotations

from attrs import field, frozen


@frozen(repr=False)
class Secret:
    """A text whose `repr` and `str` are `***`, so that no log, table or traceback shows it."""

    _text: str = field(alias="text")

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__
