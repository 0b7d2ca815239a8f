"""
The command `iexec-worker`.

Each command is `command` of the module of its name and is imported when it is asked for: what
`run` needs takes a second to import, and `--help` and `config` need none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, cast

import click

from iexec_worker import __version__
from iexec_worker.errors import ConfigError, Fatal
from iexec_worker.versions import PROTOCOL_RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT: Final = "run"

#: Every command with its line in `--help`, which must not import them all.
COMMANDS: Final[Mapping[str, str]] = {
    "run": "Join the pool and compute its tasks (the default).",
    "demo": "Start a pool and workers on this machine and compute tasks.",
    "pool": "Start a pool on this machine and keep it up.",
    "chaos": "Start a pool and workers, and do them every harm there is.",
    "check": "Check everything the worker needs, one line each.",
    "config": "Print the effective configuration and where it comes from.",
    "wallet": "Make a wallet, or show its address.",
}

#: Commands of commands: `--help` does not speak of them.
HIDDEN: Final = frozenset({"interruptible"})

_OWN_OPTIONS: Final = frozenset({"--help", "-h", "--version"})


VERSION: Final = f"iexec-worker {__version__} (worker protocol {' to '.join(PROTOCOL_RANGE)})"


class Commands(click.Group):
    """A group that imports a command when it is used, and turns Fatal into an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        return cast("click.Command", importlib.import_module(f"{__name__}.{cmd_name}").command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in _OWN_OPTIONS):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; status 2 for a bad configuration, 1 for any other Fatal."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(f"error: {problem}", err=True)
            ctx.exit(2)
        except Fatal as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(message=VERSION)
def main() -> None:
    """Run a worker of an iExec workerpool; without a command: `run`."""
