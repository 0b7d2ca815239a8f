"""
Measurements of what users feel: start, memory, and how fast events become actions.

Each figure stands beside a baseline of the same run, because machines are shared and noisy: look
at the ratio, and take the budget as the promise it is. Nothing here passes or fails.

    make bench                 all
    make bench ARGS=start      those whose name begins with a word
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench import engine, link, process, sessions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.figure import Figure

CACHE = Path(__file__).parents[2] / ".cache"


async def figures(folder: Path, wanted: str) -> AsyncIterator[Figure]:
    """Measure one thing after the other; nothing else runs meanwhile."""
    measures = (
        process.imports,
        process.start,
        link.notification,
        link.reveal,
        sessions.session,
        engine.exits,
        engine.cuts,
    )
    for measure in measures:
        if measure.__name__.startswith(wanted):
            for figure in await measure(CACHE, folder):
                yield figure


async def main(wanted: str) -> None:
    """Measure and print a table."""
    table = Table("what", "median", "baseline", "ratio", "budget", title="iexec-worker")
    # The engine's container paths and dockerd's own want a folder outlasting no run.
    with tempfile.TemporaryDirectory(prefix="iexec-bench-", ignore_cleanup_errors=True) as name:
        async for figure in figures(Path(name), wanted):
            table.add_row(*figure.cells())
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    os.environ.setdefault("PYTHONHASHSEED", "0")
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "")
