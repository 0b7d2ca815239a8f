"""`iexec-worker check`: everything the worker needs, one line each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click

from iexec_worker.cli.common import configuration, log_format

if TYPE_CHECKING:
    from iexec_worker.app.checks.finding import Finding

_COLOURS: Final = {"ok": "green", "warn": "yellow", "FAIL": "red", "skipped": "bright_black"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@click.pass_context
def command(ctx: click.Context, /, *, as_json: bool) -> None:
    """
    Check everything the worker needs, with the configuration of the environment.

    Nothing is changed anywhere. The exit status is 1 if something fails.
    """
    config = configuration()
    import attrs
    import trio

    from iexec_worker.app.checks.run import check
    from iexec_worker.supervise import only
    from iexec_worker.telemetry import logs

    # What goes wrong is told line by line; the log would say it twice.
    redactor = logs.configure("error", log_format(config), config.secrets)
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        cleaned = attrs.evolve(
            finding, fact=redactor.text(finding.fact), fix=redactor.text(finding.fix)
        )
        findings.append(cleaned)
        if not as_json:
            click.echo(_line(cleaned))

    try:
        good = trio.run(check, config, tell)
    except BaseExceptionGroup as group:
        # Ctrl-C or a closed pipe, which click knows what to do with.
        raise only(group) from None
    if as_json:
        click.echo(json.dumps([attrs.asdict(finding) for finding in findings], indent=2))
    ctx.exit(0 if good else 1)


def _line(finding: Finding) -> str:
    level = click.style(f"{finding.level:7}", fg=_COLOURS[finding.level])
    text = f"{level}  {finding.name:13}  {finding.fact}"
    return f"{text} → {finding.fix}" if finding.fix else text
