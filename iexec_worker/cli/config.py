"""`iexec-worker config`: what is in effect, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import click

from iexec_worker.cli.common import loaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iexec_worker.config import Setting

_HEAD = ("VARIABLE", "VALUE", "SOURCE")

# A longer cell (a list of gateways) sticks out rather than pushing every other row off the screen.
_WIDEST = 60


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(*, as_json: bool) -> None:
    """Print the effective configuration and where it comes from; secrets are masked."""
    result = loaded()
    click.echo(_as_json(result.settings) if as_json else _table(result.settings))


def _as_json(settings: Iterable[Setting]) -> str:
    keys = {"name": "name", "value_text": "value", "source": "source", "note": "note"}
    plain = (attrs.asdict(setting) for setting in settings)
    return json.dumps([{keys[key]: value for key, value in s.items()} for s in plain], indent=2)


def _table(settings: Iterable[Setting]) -> str:
    rows = [_HEAD, *((s.name, s.value_text or "-", _origin(s)) for s in settings)]
    widths = [
        max(w for row in rows if (w := len(row[column])) <= _WIDEST)
        for column in range(len(_HEAD) - 1)
    ]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    return "  ".join([*padded, row[-1]])


def _origin(setting: Setting) -> str:
    return f"{setting.source} ({setting.note})" if setting.note else setting.source
