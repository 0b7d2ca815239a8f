"""What commands share: the configuration of this process, and words of their options."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from iexec_worker.config import Config, Loaded, WalletFile, load, load_wallet

if TYPE_CHECKING:
    from iexec_worker.app.systemd import Unit


#: Frameworks of trusted tasks, by the names that people type.
FRAMEWORKS: Final = click.Choice(["scone", "gramine", "tdx"])


def loaded() -> Loaded:
    """
    Load the configuration from the environment; its warnings go to stderr.

    Raises ConfigError, which the group prints.
    """
    # Not os.cpu_count(): a container or a cpuset may give this process fewer.
    result = load(os.environ, cpu_count=len(os.sched_getaffinity(0)))
    for warning in result.warnings:
        click.echo(f"warning: {warning}", err=True)
    return result


def configuration() -> Config:
    """Load as `loaded` does; the configuration alone."""
    return loaded().config


def systemd_unit() -> Unit:
    """Take what systemd wants of this process out of its environment."""
    from iexec_worker.app.systemd import Unit

    return Unit.taken_from(os.environ, os.getpid())


def wallet_file() -> WalletFile:
    """Load where the wallet is, whatever else is not set yet."""
    return load_wallet(os.environ)


def log_format(config: Config) -> str:
    """Return "console" or "json": as configured, or what suits where stderr goes."""
    if config.telemetry.log_format != "auto":
        return config.telemetry.log_format
    return "console" if sys.stderr.isatty() else "json"
