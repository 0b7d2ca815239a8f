"""Everything a demo needs, up and running: engine, image, pool, workers."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio
from attrs import frozen

from iexec_worker.devpool import images, wallets
from iexec_worker.devpool.engine import engine
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.registry import registry
from iexec_worker.devpool.scheduler.settings import Periods, SchedulerSettings
from iexec_worker.devpool.scratch import scratch
from iexec_worker.devpool.tee.trust import open_trust
from iexec_worker.devpool.worker_process import WorkerProcess, worker_process

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from iexec_worker.devpool.demo.options import DemoOptions
    from iexec_worker.devpool.tee.trust import Trust

#: A registry that is never there (port 9 is `discard`): what is pulled from it fails at once, and
#: a worker then uses the image of that name which the engine has. So a local image is run exactly
#: as it is, even when some registry has another one of its name.
_NOWHERE: Final = "127.0.0.1:9"

#: Bytes of the demo's image: enough for a pull to be seen.
_BALLAST: Final = 16_000_000

#: A pool in a hurry; how long it waits for workers is that of real ones.
QUICK: Final = SchedulerSettings(ask_period=1.0, periods=Periods(deals=1.0, blocks=2.0))


@frozen
class Member:
    """A worker of the demo and its wallet's address."""

    process: WorkerProcess
    wallet: str


@frozen
class Scene:
    """*image*: what the app's image is called on the chain. *trust* None: standard tasks."""

    options: DemoOptions
    pool: Pool
    members: tuple[Member, ...]
    image: str
    trust: Trust | None


@asynccontextmanager
async def open_scene(options: DemoOptions, say: Callable[[str], None]) -> AsyncIterator[Scene]:
    """
    Open everything; all of it ends with the scope. *say* is told what is being done.

    Raises Fatal, with what helps, when a piece is missing or does not come up.
    """
    folder = options.folder
    async with AsyncExitStack() as stack:
        # Last of all, when nobody writes to them any more: only logs and results are kept.
        stores = (folder / "registry", folder / "trust")
        await stack.enter_async_context(scratch(*stores, folder / "engine" / "data"))
        say("looking for a container engine")
        found = await stack.enter_async_context(engine(folder / "engine", host=options.engine))
        say(f"container engine at {found.host}" + (", our own" if found.own else ""))
        trust = await _trust(stack, options, found.host)
        image = trust.kit.app if trust else await _image(stack, options, found.host)
        say(f"app {image}")
        say("starting chain, contracts, scheduler, result proxy and config server")
        pool = await stack.enter_async_context(open_pool(_pool_options(options, trust)))
        if trust is not None:
            trust.settle(pool)
        say(f"pool {pool.chain.pool_address} at {pool.url}, chain {pool.chain.chain_id}")
        environments = {
            name: _environment(options, pool, found.host) | (trust.variables(name) if trust else {})
            for name in options.names
        }
        members = await stack.enter_async_context(_workers(options, pool, environments))
        for process in (member.process for member in members):
            say(f"{process.name} at {process.url}, log {process.child.log}")
        yield Scene(options, pool, members, image, trust)


async def _trust(stack: AsyncExitStack, options: DemoOptions, host: str) -> Trust | None:
    if options.framework is None:
        return None
    return await stack.enter_async_context(
        open_trust(host, options.folder / "trust", options.framework, options.names)
    )


def _pool_options(options: DemoOptions, trust: Trust | None) -> PoolOptions:
    wanted = PoolOptions(options.cache, options.folder / "pool", scheduler=QUICK)
    if trust is None:
        return wanted
    return trust.include(wanted)


async def _image(stack: AsyncExitStack, options: DemoOptions, host: str) -> str:
    """Make the app's image, or find it; returns the name under which workers get it."""
    if not options.image:
        store = await stack.enter_async_context(registry(options.folder / "registry"))
        image = f"{store.address}/iexec-demo:1.0"
        await images.build(host, image, images.demo_app(ballast=_BALLAST))
        await images.push(host, image)
        # The workers shall have to pull it.
        await images.remove(host, image)
    else:
        wanted = tagged(options.image)
        image = f"{_NOWHERE}/{untied(wanted)}"
        if not await images.tag(host, wanted, image):
            return wanted
    stack.push_async_callback(_forget, host, image)
    return image


async def _forget(host: str, image: str) -> None:
    with trio.move_on_after(10, shield=True):
        await images.remove(host, image)


def tagged(image: str) -> str:
    """Name *image* with a tag, as the chain has to."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"


def untied(image: str) -> str:
    """Make of *image* a name to which a registry's address can be put: lower case, one tag."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    tag = last.partition(":")[2] or digest.rpartition(":")[2][:32]
    return f"{head.replace(':', '-')}{slash}{last.partition(':')[0]}:{tag}"


def _environment(options: DemoOptions, pool: Pool, host: str) -> dict[str, str]:
    # Those of the pool, and hosts that the user of the demo has named.
    hosts = {*pool.hosts, *(urlsplit(url).hostname for url in options.input_files)}
    allowed = ",".join(sorted(filter(None, hosts)))
    return {"DOCKER_HOST": host, "IEXEC_WORKER_ALLOWED_PRIVATE_HOSTS": allowed}


@asynccontextmanager
async def _workers(
    options: DemoOptions, pool: Pool, environments: Mapping[str, Mapping[str, str]]
) -> AsyncIterator[tuple[Member, ...]]:
    """Start all side by side: most of a start is imports."""
    started: dict[str, Member] = {}
    async with trio.open_nursery() as keeper:

        async def start(name: str) -> None:
            started[name] = await keeper.start(_worker, options, pool, name, environments[name])

        async with trio.open_nursery() as nursery:
            for name in environments:
                nursery.start_soon(start, name)
        yield tuple(started[name] for name in environments)
        keeper.cancel_scope.cancel()


async def _worker(
    options: DemoOptions,
    pool: Pool,
    name: str,
    environment: Mapping[str, str],
    *,
    task_status: trio.TaskStatus[Member],
) -> None:
    folder = options.folder / "workers"
    wallet = await wallets.make(folder, f"{name}-wallet")
    await wallets.fund(pool.market, wallet)
    environ = pool.environment(wallet.path, wallet.password) | {**environment}
    async with worker_process(folder, name, environ, inherited=options.inherited) as process:
        task_status.started(Member(process, wallet.address))
        await trio.sleep_forever()
