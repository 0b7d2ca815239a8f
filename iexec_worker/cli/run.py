"""`iexec-worker run`: be a worker."""

from __future__ import annotations

import click

from iexec_worker.cli.common import configuration, log_format, systemd_unit


@click.command("run")
def command() -> None:
    """Join the pool and compute its tasks until SIGTERM (drain) or SIGINT (stop)."""
    config = configuration()
    import trio

    from iexec_worker.app.worker import run
    from iexec_worker.telemetry.tree import Node

    trio.run(run, config, log_format(config), Node("worker"), systemd_unit())
