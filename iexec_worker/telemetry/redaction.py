"""What may be shown: texts without secrets, and without bytes that act on a terminal."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iexec_worker.secret import Secret

MASK: Final = "***"

#: A secret of fewer characters is masked as a whole word only; "a" as a password must not
#: make every text unreadable, and guessing it takes no log.
SHORT: Final = 4

# C0 and C1 controls, marks that turn the direction of writing, line separators, tags,
# and lone surrogates (which no encoding of a stream takes).
_ACTIVE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str, keep: str = "") -> str:
    """Escape every character of *text*, but those in *keep*, that is not simply shown."""
    return _ACTIVE.sub(
        lambda match: match[0] if match[0] in keep else _escaped(match[0]),
        text,
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class Redactor:
    """
    Masks every registered secret wherever it stands in a text, in any form it travels in.

    Forms: as it is, inside a `repr` or JSON string, in a URL, and as base64. May be used
    from any thread.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._forms: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: Secret) -> None:
        """Mask *secrets* from now on; an empty one is nothing to hide."""
        texts = (secret.reveal() for secret in secrets)
        self._forms |= {form for text in texts if text for form in _forms(text)}
        # The longest first, so that a secret which begins with another is masked whole.
        ordered = sorted(self._forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(_matching, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return *text* with every secret replaced by `***`."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def value(self, value: Any) -> Any:  # noqa: ANN401 - any value of an event, or of JSON
        """
        Return *value* as plain JSON values, every text in it masked and printable.

        What is no JSON value becomes its text.
        """
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._shown(key): self.value(part) for key, part in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(part) for part in value]
        return self._shown(value)

    def _shown(self, value: object) -> str:
        if isinstance(value, BaseException):
            text = f"{type(value).__name__}: {value}"
        else:
            # Not str() for bytes: Python may be told to refuse it.
            text = repr(value) if isinstance(value, bytes) else str(value)
        return printable(self.text(text))


def _forms(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield repr(secret)[1:-1]
    yield repr(data)[2:-1]
    yield json.dumps(secret)[1:-1]
    yield quote(data, safe="")
    yield quote(data)
    yield quote_plus(data)
    # The padding is left out: inside a longer text it may not be there.
    if len(data) >= SHORT:
        yield base64.b64encode(data).decode().rstrip("=")
        yield base64.urlsafe_b64encode(data).decode().rstrip("=")


def _matching(form: str) -> str:
    literal = re.escape(form)
    return literal if len(form) >= SHORT else rf"(?<!\w){literal}(?!\w)"
