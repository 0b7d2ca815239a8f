"""Reading one variable: from its own name, an alias, a file (secrets), or its default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from iexec_worker.config.variables import Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

# Far above any password; keeps a path like /dev/zero from filling the memory.
_LARGEST_SECRET = 64 * 1024

_SHOWN = 200


@frozen
class Setting:
    """One effective value as a person may see it; *note* says when something else decides."""

    name: str
    value_text: str
    source: str
    note: str = ""


@frozen
class Reading:
    """A variable that was read: its *value* (None: not set, no default) or its *problem*."""

    variable: Variable
    text: str
    source: str
    value: Any = None
    problem: str = ""

    @property
    def given(self) -> bool:
        """True iff the operator set it."""
        return self.source != "default"

    def setting(self, note: str = "") -> Setting:
        """Return what a person may see of it."""
        shown = self.variable.parser.mask(self.text) if self.text else ""
        return Setting(self.variable.name, _printable(shown), self.source, note)


def read(variable: Variable, environ: Mapping[str, str]) -> Reading:
    """
    Read *variable*; never raises.

    Empty is unset. A secret may be in the file that `<name>_FILE` names.
    """
    for name in (*variable.aliases, variable.name):
        text = environ.get(name, "")
        if (text if variable.secret else text.strip()) == "":
            continue
        if variable.secret and environ.get(f"{name}_FILE"):
            problem = f"{name} and {name}_FILE are both set: unset one of them"
            return Reading(variable, text, "environment", problem=problem)
        source = "environment" if name == variable.name else f"environment ({name})"
        return _parsed(variable, text if variable.secret else text.strip(), source)
    if variable.secret and (file := environ.get(f"{variable.name}_FILE", "").strip()):
        return _read_file(variable, Path(file))
    return _parsed(variable, variable.default, "default")


def _parsed(variable: Variable, text: str, source: str) -> Reading:
    if not text:
        return Reading(variable, text, source)
    try:
        return Reading(variable, text, source, variable.parser.parse(text))
    except ValueError:
        return Reading(variable, text, source, problem=_complaint(variable, text, source))


def _complaint(variable: Variable, text: str, source: str) -> str:
    shown = _printable(variable.parser.mask(text))
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    origin = "" if source == "environment" else f" ({source})"
    return f"{variable.name}={shown}{origin}: expected {variable.parser.accepts}"


def _printable(text: str) -> str:
    # Line ends and colours would let a value pretend to be another line.
    return text if text.isprintable() else ascii(text)


def _read_file(variable: Variable, file: Path) -> Reading:
    shown, name = _printable(str(file)), f"{variable.name}_FILE"
    source = f"file {shown}"
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST_SECRET + 1)
        text = content.decode()
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "not text in UTF-8"
        problem = f"{name}={shown}: expected a readable text file ({reason})"
        return Reading(variable, "", source, problem=problem)
    # Editors and `echo` end a file with a newline, which nobody means as part of a password.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(content) > _LARGEST_SECRET:
        fault = "it is too large" if text else "it is empty"
        return Reading(
            variable, "", source, problem=f"{name}={shown}: expected a file with a secret ({fault})"
        )
    return _parsed(variable, text, source)
