"""The README's tables of variables, held against the variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from iexec_worker.config.variables import ALL, OURS, SEED, registry

README: Final = Path(__file__).parents[2] / "README.md"

#: A row of a table of variables: a name (or several), what it is, its type, its default.
_ROW: Final = re.compile(r"\| `([A-Z0-9_]+)`.*? \|(.*)\|([^|]*)\|$", re.MULTILINE)


def documented() -> dict[str, str]:
    """The default of each variable, as the README has it, without its quotes."""
    rows = _ROW.findall(README.read_text())
    return {name: default.replace("`", "").strip() for name, _, default in rows}


def test_every_variable_is_in_the_readme() -> None:
    text = README.read_text()

    assert [v.name for v in ALL if f"`{v.name}`" not in text] == []


def test_the_readme_has_the_defaults() -> None:
    shown = documented()
    variables = (*SEED, *OURS, *registry(0), *registry(1))
    known = [variable for variable in variables if variable.name in shown]

    assert len(known) > 60
    assert {v.name: shown[v.name].replace(", ", ",") for v in known} == {
        v.name: v.default for v in known
    }


def test_the_readme_has_no_other_variables() -> None:
    names = {v.name for v in (*ALL, *registry(0), *registry(1))}

    assert set(documented()) - names == set()
