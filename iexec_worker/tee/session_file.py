"""The session of a TDX task, as the agent writes it down: JSON of the SMS. Sans-IO."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from iexec_worker.fields import Fields
from iexec_worker.tee.model import Part, Service, Services

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What every container's environment takes for a name.
_VARIABLE: Final = re.compile(r"[^=\0]+")


def parse(content: bytes) -> Services:
    """
    Read the services of a session; that of the pre-compute may be missing, as not needed.

    Raises ValueError, which says nothing of the contents: they are secrets.
    """
    found = dict(_services(_json(content)))
    try:
        post, app = found[Part.POST], found[Part.APP]
    except KeyError as error:
        raise ValueError(f"it has no service {error.args[0]}") from error
    return Services(pre=found.get(Part.PRE, Service("")), post=post, app=app)


def _json(content: bytes) -> Fields:
    try:
        return Fields.of(json.loads(content), "it")
    except (ValueError, RecursionError):
        # Not what the parser says of it: its error holds the whole document.
        raise ValueError("it is no JSON object") from None


def _services(session: Fields) -> Iterator[tuple[str, Service]]:
    services = session.values.get("services")
    if not isinstance(services, list):
        raise ValueError("it has no list of services")  # noqa: TRY004 - one error for bad JSON
    for value in services:
        fields = Fields.of(value, "a service")
        image = fields.text("image_name")
        if not image:
            raise ValueError("a service has no image")
        env = _environment(fields.values.get("environment"))
        yield (
            fields.text("name"),
            Service(image, fingerprint=fields.text("fingerprint"), env=env),
        )


def _environment(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(map(_VARIABLE.fullmatch, value)):
        raise ValueError("a service has an environment that is none")
    return {name: _text(one) for name, one in value.items()}


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return *value* as Java writes it: numbers and booleans are text in an environment."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float) and "\0" not in str(value):
        return str(value)
    raise ValueError("a variable of a service is no text")
