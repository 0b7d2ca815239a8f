"""`iexec-worker pool`: a pool on this machine that others join and buy from."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iexec_worker.cli.common import FRAMEWORKS
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AsyncExitStack

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.tee.trust import Trust
    from iexec_worker.devpool.wallets import Wallet
    from iexec_worker.model import TeeFramework

_folder = click.Path(path_type=Path, file_okay=False)
_port = click.IntRange(0, 65535)


def _version(_ctx: click.Context, _parameter: click.Parameter, text: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", text):
        raise click.BadParameter("three numbers, such as 9.3.0")
    return text


@click.command()
@click.option("--port", type=_port, default=13000, show_default=True, help="Of the scheduler.")
@click.option("--node-port", type=_port, default=8545, show_default=True, help="Of the chain.")
@click.option("--result-proxy-port", type=_port, default=13200, show_default=True)
@click.option("--config-server-port", type=_port, default=3001, show_default=True)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--advertise", help="Address that workers are told; default: that of --bind.")
@click.option("--folder", type=_folder, help="For wallets, logs and results; default: a new one.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--version", "release", default="9.3.0", show_default=True, callback=_version)
@click.option(
    "--tee",
    type=FRAMEWORKS,
    help="Take trusted tasks, too; stand-ins as those of `demo --tee` go with it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of shell lines.")
def command(
    *,
    port: int,
    node_port: int,
    result_proxy_port: int,
    config_server_port: int,
    bind: str,
    advertise: str | None,
    folder: Path | None,
    workers: int,
    release: str,
    tee: str | None,
    as_json: bool,
) -> None:
    """
    Start a pool on this machine and keep it up until Ctrl-C or SIGTERM.

    Prints the environment with which a worker joins it; --workers wallets, with gas and a stake,
    are made for that. A port 0 takes a free one. Needs npm, once, to fetch the chain, and no
    container engine but with --tee: the stand-ins of trusted tasks are images of it. Whoever wants
    to buy with the iExec SDK copies what is in the folder `sdk`.
    """
    import attrs

    from iexec_worker.cli import embedded
    from iexec_worker.devpool.demo.scene import QUICK
    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.model import TeeFramework

    ports = {
        "--port": port,
        "--node-port": node_port,
        "--result-proxy-port": result_proxy_port,
        "--config-server-port": config_server_port,
    }
    _require(bind, ports)
    options = PoolOptions(
        cache=embedded.cache(),
        folder=(folder or Path(tempfile.mkdtemp(prefix="iexec-pool-"))).absolute(),
        host=bind,
        advertised=advertise or bind,
        scheduler_port=port,
        result_proxy_port=result_proxy_port,
        config_server_port=config_server_port,
        node_port=node_port,
        scheduler=attrs.evolve(QUICK, version=release),
    )
    framework = TeeFramework[tee.upper()] if tee else None
    with embedded.log_into(options.folder / "pool.log"):
        embedded.run(lambda: _keep(options, workers, framework, as_json=as_json))


def _require(bind: str, ports: Mapping[str, int]) -> None:
    """Raise Fatal for the first port that cannot be had, naming its option."""
    for option, port in ports.items():
        try:
            socket.create_server((bind, port)).close()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise Fatal(
                f"cannot listen on {bind} port {port}: {reason}; choose another with {option} "
                "(0 takes a free one), or an address of this machine with --bind"
            ) from error


async def _keep(
    options: PoolOptions, workers: int, framework: TeeFramework | None, *, as_json: bool
) -> None:
    from contextlib import AsyncExitStack

    import trio

    from iexec_worker.devpool import sdk, wallets
    from iexec_worker.devpool.options import worker_names
    from iexec_worker.devpool.pool import open_pool

    names = worker_names(workers)
    async with AsyncExitStack() as stack:
        trust = await _trust(stack, options.folder, framework, names) if framework else None
        trusted = trust.include(options) if trust else options
        pool = await stack.enter_async_context(open_pool(trusted))
        if trust is not None:
            trust.settle(pool)
        environments = []
        for number, name in enumerate(names, 1):
            wallet = await wallets.make(options.folder, f"wallet-{number}")
            await wallets.fund(pool.market, wallet)
            environments.append(_environment(pool, wallet, number, name, trust))
        await sdk.write(pool, options.folder / "sdk")
        told = describe(pool, environments, options.folder / "sdk", trust)
        click.echo(json.dumps(told, indent=2) if as_json else _shell(told))
        await trio.sleep_forever()


async def _trust(
    stack: AsyncExitStack, folder: Path, framework: TeeFramework, workers: Sequence[str]
) -> Trust:
    """Open what trusted tasks of *workers* need, on the engine that is there or one of our own."""
    from iexec_worker.cli import embedded
    from iexec_worker.devpool.engine import engine
    from iexec_worker.devpool.scratch import scratch
    from iexec_worker.devpool.tee.trust import open_trust

    await stack.enter_async_context(scratch(folder / "trust", folder / "engine" / "data"))
    wanted = embedded.environment().get("DOCKER_HOST") or None
    found = await stack.enter_async_context(engine(folder / "engine", host=wanted))
    opened = open_trust(found.host, folder / "trust", framework, workers)
    return await stack.enter_async_context(opened)


def describe(
    pool: Pool, workers: list[dict[str, str]], sdk: Path, trust: Trust | None
) -> dict[str, Any]:
    """
    Everything a worker or a requester has to know of *pool*, as plain values.

    *workers* have an environment each.
    """
    return {
        "pool": pool.chain.pool_address,
        "scheduler": pool.url,
        "resultProxy": pool.result_proxy_url,
        "configServer": pool.config_server_url,
        "node": pool.node_url,
        "chainId": pool.chain.chain_id,
        "hub": pool.chain.hub,
        "sdk": str(sdk),
        "chainJson": str(sdk / "chain.json"),
        "poolOwnerKey": pool.owner_key,
        "requesterKeys": list(pool.requester_keys),
        "workers": workers,
        **({"trustedApp": trust.kit.app} if trust else {}),
    }


def _environment(
    pool: Pool, wallet: Wallet, number: int, name: str, trust: Trust | None
) -> dict[str, str]:
    """The environment of worker *number*; several on one machine differ in name and port."""
    own = {"IEXEC_WORKER_NAME": name, "IEXEC_WORKER_PORT": str(13_099 + number)}
    return {
        **pool.environment(wallet.path, wallet.password),
        **own,
        # Whose enclaves find it at one port, each on a network of its own.
        **(trust.variables(name) if trust else {}),
    }


def _shell(told: dict[str, Any]) -> str:
    """What to paste into a shell; all else is in comments."""
    lines = [f"# {name}: {told[name]}" for name in told if isinstance(told[name], str | int)]
    for number, environment in enumerate(told["workers"], 1):
        lines += ["", f"# worker {number}: paste this, then run `iexec-worker`"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*lines, "", "# The pool is up until Ctrl-C."])
