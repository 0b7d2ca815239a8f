"""`iexec-worker interruptible`: a worker whose parts `chaos` cancels, one line for each."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click
import structlog
import trio

from iexec_worker.app.worker import run
from iexec_worker.cli.common import configuration, log_format
from iexec_worker.cli.cuts import Cut, Kind, Steps
from iexec_worker.supervise import only
from iexec_worker.telemetry.tree import Node

if TYPE_CHECKING:
    from iexec_worker.config import Config

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def _cuts(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[Cut]:
    try:
        return [Cut.read(value) for value in values]
    except ValueError as error:
        kinds = ", ".join(Kind)
        raise click.BadParameter(f"{error}; a cut is one of {kinds}, an @ and a step") from None


@click.command("interruptible")
@click.option("--cut", "cuts", callback=_cuts, multiple=True, help="Cut at a step: part@120.")
def command(cuts: list[Cut]) -> None:
    """
    Be a worker as `run` is, and do what standard input says.

    A line `interrupt X`, X from 0 to below 1, cancels one part of the tree: the one at X among
    all that would be started again, as the tree lists them. X may also be a path in the tree.
    """
    config = configuration()
    try:
        trio.run(_run, config, cuts)
    except BaseExceptionGroup as group:
        raise only(group) from None


async def _run(config: Config, cuts: list[Cut]) -> None:
    node = Node("worker")
    async with trio.open_nursery() as nursery:
        if cuts:
            trio.lowlevel.add_instrument(Steps(cuts, nursery.cancel_scope))
        nursery.start_soon(_listen, node)
        await run(config, log_format(config), node)
        nursery.cancel_scope.cancel()


async def _listen(node: Node) -> None:
    unread = b""
    # A copy, because closing the stream closes what it reads from.
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
        async for chunk in stream:
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                _obey(node, line.decode().split())


def _obey(node: Node, words: list[str]) -> None:
    parts = [found for found in node.walk() if found[1].interruptible]
    match words:
        case ["interrupt", path] if path in dict(parts):
            _interrupt(path, dict(parts)[path])
        case ["interrupt", pick] if "/" not in pick:
            if parts:
                _interrupt(*parts[int(float(pick) * len(parts))])
        case _:
            log.warning("not understood", words=words)


def _interrupt(path: str, part: Node) -> None:
    log.warning("interrupted", part=path, doing=part.doing)
    part.interrupt()
