"""`iexec-worker demo`: a pool, workers and tasks on this machine, and the proof."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from iexec_worker.cli.common import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iexec_worker.cli.screen import Screen
    from iexec_worker.devpool.demo.options import DemoOptions
    from iexec_worker.devpool.demo.proof import Proof
    from iexec_worker.devpool.demo.scene import Scene

#: Columns of lines that no terminal wraps.
_WIDE: Final = 200

_file = click.Path(path_type=Path, exists=True, dir_okay=False)
_folder = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--tasks", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--workers", type=click.IntRange(min=1), help="How many; default: as many as the trust needs."
)
@click.option(
    "--trust",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How sure the requester wants to be; from 2 on workers have to agree.",
)
@click.option("--image", default="", help="Run this image of the engine's as the app.")
@click.option("--args", default="", help="What the app is told.")
@click.option("--dataset", type=_file, help="A file to be the tasks' dataset.")
@click.option("--input-file", "input_files", multiple=True, help="URL of an input; repeatable.")
@click.option("--callback", is_flag=True, help="Deliver results to a contract, not to a storage.")
@click.option(
    "--tee",
    type=FRAMEWORKS,
    help="Trusted tasks; null devices and test enclaves stand for the hardware.",
)
@click.option("--keep", is_flag=True, help="Leave everything up until Ctrl-C.")
@click.option("--folder", type=_folder, help="For logs and results; default: a new one.")
@click.option("--json", "as_json", is_flag=True, help="End with JSON instead of a table.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    workers: int | None,
    folder: Path | None,
    keep: bool,
    as_json: bool,
    **wanted: object,
) -> None:
    """
    Start a pool and workers on this machine and compute tasks, down to the proof.

    Needs npm (for the chain, once) and a container engine, or root and dockerd to start one.
    The exit status is 0 if every task is COMPLETED on the chain and every result is the one it
    was completed with.
    """
    from iexec_worker.cli import embedded
    from iexec_worker.devpool.demo.options import DemoOptions, workers_for

    needed = workers_for(int(str(wanted["trust"])))
    if workers is not None and workers < needed:
        raise click.UsageError(f"--trust {wanted['trust']} needs --workers {needed} or more")
    if wanted["tee"] and (wanted["image"] or wanted["trust"] != 1):
        raise click.UsageError("--tee has an app of its own, and a trust of 1")
    environ = embedded.environment()
    options = DemoOptions(
        folder=(folder or Path(tempfile.mkdtemp(prefix="iexec-demo-"))).absolute(),
        cache=embedded.cache(),
        workers=workers or needed,
        engine=environ.get("DOCKER_HOST") or None,
        inherited=environ,
        **wanted,  # type: ignore[arg-type]  # the options have the names of the fields
    )
    verdicts: list[bool] = []
    with embedded.log_into(options.folder / "pool.log"):
        embedded.run(lambda: _demo(options, verdicts.append, keep=keep, as_json=as_json))
    if not verdicts:
        click.echo("stopped", err=True)
        ctx.exit(embedded.INTERRUPTED)
    ctx.exit(0 if all(verdicts) else 1)


async def _demo(
    options: DemoOptions, judge: Callable[[bool], None], *, keep: bool, as_json: bool
) -> None:
    """Show everything; *judge* is told whether all is well, before the demo is left up."""
    import trio
    from rich.console import Console

    from iexec_worker.cli import report
    from iexec_worker.cli.screen import open_screen
    from iexec_worker.devpool.demo.scene import open_scene

    # Whoever wants JSON wants nothing else on standard output.
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = _WIDE
    screen = open_screen(console)
    screen.say(f"logs and results in {options.folder}")
    async with open_scene(options, screen.say) as scene:
        proofs, stuck = await _play(scene, screen)
        (report.as_json if as_json else report.as_text)(console, scene, proofs, stuck)
        judge(not stuck and not any(proof.problem for proof in proofs))
        if keep:
            report.invite(console, scene)
            await trio.sleep_forever()


async def _play(scene: Scene, screen: Screen) -> tuple[Sequence[Proof], str]:
    """Buy the tasks and watch them to their end."""
    from iexec_worker.devpool.demo.deal import buy
    from iexec_worker.devpool.demo.progress import follow
    from iexec_worker.devpool.demo.proof import prove

    deal = await buy(scene)
    screen.say(f"bought {len(deal.task_ids)} task(s) in deal {deal.deal_id}")
    with screen:
        stuck = await follow(scene, deal.task_ids, screen.show)
    return await prove(scene, deal), stuck
