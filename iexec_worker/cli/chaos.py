"""`iexec-worker chaos`: a pool whose workers are done every harm there is, and the verdict."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.table import Table

from iexec_worker.cli import embedded
from iexec_worker.cli.screen import Lines
from iexec_worker.config.parsers import SPAN
from iexec_worker.devpool.chaos.kinds import KINDS, possible
from iexec_worker.devpool.chaos.options import ChaosOptions
from iexec_worker.devpool.chaos.run import run
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from iexec_worker.devpool.chaos.verdict import Verdict

#: Seconds between two faults, and between two tasks, unless told otherwise.
_FAULT_EVERY: Final = 1.8
_TASK_EVERY: Final = 4.0

#: Columns of lines that no terminal wraps.
_WIDE: Final = 200

_folder = click.Path(path_type=Path, file_okay=False)


def _duration(_ctx: click.Context, _parameter: click.Parameter, text: str) -> float:
    try:
        return float(SPAN.parse(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not {error}") from error


def _faults(
    _ctx: click.Context, _parameter: click.Parameter, text: str
) -> tuple[int | None, frozenset[str]]:
    """Read a number and names of kinds, in any order."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    numbers = [int(word) for word in words if word.isdigit()]
    kinds = frozenset(word for word in words if not word.isdigit())
    if unknown := kinds - KINDS.keys():
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(KINDS)}")
    return (numbers[-1] if numbers else None), kinds


@click.command()
@click.option("--seed", type=click.IntRange(min=0), help="Of the plan; default: any.")
@click.option("--duration", default="PT1M", show_default=True, callback=_duration, help="ISO-8601.")
@click.option(
    "--faults",
    default="",
    callback=_faults,
    help="How many, and of which kinds: `50`, `kill,reset`, `50,kill`; default: many, of all.",
)
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--tasks", type=click.IntRange(min=1), help="How many; default: fifteen a minute.")
@click.option("--folder", type=_folder, help="For logs; default: a new one, kept if needed.")
@click.option("--json", "as_json", is_flag=True, help="End with JSON instead of a table.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    seed: int | None,
    duration: float,
    faults: tuple[int | None, frozenset[str]],
    workers: int,
    tasks: int | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """
    Let faults strike a pool with real workers, and see whether anything is lost.

    Needs npm (for the chain, once) and, for all faults, root and dockerd; without root it spares
    the engine and the disk. The plan follows from the seed; what
    happens also from the times that things take. The exit status is 1 when an invariant is
    broken: logs and journals are kept then.
    """
    count, kinds = faults
    options = ChaosOptions(
        folder=(folder or Path(tempfile.mkdtemp(prefix="iexec-chaos-"))).absolute(),
        cache=embedded.cache(),
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        duration=duration,
        faults=count or faults_in(duration),
        kinds=kinds,
        workers=workers,
        tasks=tasks or tasks_in(duration),
        root=os.geteuid() == 0,
        inherited=embedded.environment(),
    )
    if not possible(kinds, root=options.root):
        raise Fatal(f"{', '.join(sorted(kinds))}: only root can do that")
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = _WIDE
    verdicts: list[Verdict] = []
    with embedded.log_into(options.folder / "pool.log"):
        embedded.run(lambda: _rage(options, console, verdicts.append))
    if not verdicts:
        click.echo(f"stopped (seed {options.seed})", err=True)
        ctx.exit(embedded.INTERRUPTED)
    (verdict,) = verdicts
    if as_json:
        click.echo(json.dumps(verdict.as_json(), indent=2))
    else:
        _show(console, verdict)
    if folder is None and not verdict.breaches:
        shutil.rmtree(options.folder, ignore_errors=True)
    ctx.exit(1 if verdict.breaches else 0)


def faults_in(duration: float) -> int:
    """How many faults strike in so many seconds, unless it is said."""
    return max(1, int(duration / _FAULT_EVERY))


def tasks_in(duration: float) -> int:
    """How many tasks are bought in so many seconds, unless it is said."""
    return max(2, int(duration / _TASK_EVERY))


async def _rage(options: ChaosOptions, console: Console, judge: Callable[[Verdict], None]) -> None:
    screen = Lines(console)
    if skipped := possible(options.kinds, root=True).keys() - possible(
        options.kinds, root=options.root
    ):
        screen.say(f"without root there is no {', '.join(sorted(skipped))}")
    screen.say(f"seed {options.seed}, logs in {options.folder}")
    judge(await run(options, screen.say))


def _show(console: Console, verdict: Verdict) -> None:
    console.print()
    console.print(_table(verdict))
    for breach in verdict.breaches:
        text = f"broken: {breach.invariant}: {breach.where}: {breach.seen}"
        console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    seed = f"seed {verdict.options.seed}"
    if verdict.breaches:
        console.print(f"\n{seed}; logs and journals are in {verdict.options.folder}", style="red")
    else:
        faults = sum(verdict.struck.values())
        text = f"{faults} faults, {verdict.taken} tasks taken, no invariant broken ({seed})"
        console.print(f"\n{text}", style="green", highlight=False)


def _table(verdict: Verdict) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    recovery = {name: f"{seconds:.1f} s" for name, seconds in verdict.recovery().items()}
    sections: Mapping[str, Mapping[str, object]] = {
        "faults": verdict.struck,
        "cancelled": verdict.interrupted,
        "tasks": verdict.states,
        "failures told": verdict.failures,
        "restarts": verdict.ends,
        "kill to next status": recovery,
    }
    for title, section in sections.items():
        for row, (name, value) in enumerate(section.items()):
            table.add_row("" if row else title, name, str(value))
    return table
