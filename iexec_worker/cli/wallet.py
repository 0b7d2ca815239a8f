"""`iexec-worker wallet`: the key a worker needs before it can join a pool."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from iexec_worker.cli.common import wallet_file
from iexec_worker.errors import Fatal
from iexec_worker.secret import Secret

_path = click.option(
    "--path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The keystore; default: IEXEC_WORKER_WALLET_PATH.",
)


@click.group(name="wallet")
def command() -> None:
    """Make a wallet, or show its address (a V3 keystore file)."""


@command.command()
@_path
def new(path: Path | None) -> None:
    """
    Make a new wallet; an existing file is never touched.

    The password is that of IEXEC_WORKER_WALLET_PASSWORD (or the file in
    IEXEC_WORKER_WALLET_PASSWORD_FILE); when neither is set it is asked for.
    """
    from iexec_worker.chain.wallet import Wallet

    configured = wallet_file()
    path = path or configured.path
    if path.exists():
        raise Fatal(f"wallet {path} exists already and is kept: choose another path")
    password = configured.password if configured.password_given else _ask()
    wallet = Wallet.create(path, password)
    click.echo(wallet.address)
    click.echo(f"written to {path}: set IEXEC_WORKER_WALLET_PATH to it, and keep a copy", err=True)


@command.command()
@_path
def address(path: Path | None) -> None:
    """Show the address of the wallet."""
    from iexec_worker.chain.wallet import Wallet

    configured = wallet_file()
    click.echo(Wallet.decrypt(path or configured.path, configured.password).address)


def _ask() -> Secret:
    if not sys.stdin.isatty():
        raise Fatal(
            "no password for the new wallet: set IEXEC_WORKER_WALLET_PASSWORD or "
            "IEXEC_WORKER_WALLET_PASSWORD_FILE, or run this in a terminal to be asked"
        )
    return Secret(
        click.prompt("Password of the new wallet", hide_input=True, confirmation_prompt=True)
    )
