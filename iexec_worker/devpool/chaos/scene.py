"""Everything a chaos run needs, up and running: engine, image, pool, workers, faulty lines."""

from __future__ import annotations

import shutil
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs
import trio
from attrs import define, field

from iexec_worker.devpool import images, wallets
from iexec_worker.devpool.chaos.disk import small_disk
from iexec_worker.devpool.chaos.dockerd import Dockerd, returning_engine
from iexec_worker.devpool.chaos.node import ReturningNode
from iexec_worker.devpool.chaos.post import Post
from iexec_worker.devpool.chaos.proxy import Proxy, open_proxy
from iexec_worker.devpool.engine import engine
from iexec_worker.devpool.options import PoolOptions
from iexec_worker.devpool.pool import Pool, open_pool
from iexec_worker.devpool.registry import registry
from iexec_worker.devpool.scheduler.settings import Periods, SchedulerSettings
from iexec_worker.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from iexec_worker.devpool.chaos.options import ChaosOptions

_HOST: Final = "127.0.0.1"

#: Seconds for all workers to start side by side on a machine that is busy.
_JOIN: Final = 120.0

#: How often the containers of an engine outlive it: both are common.
_LIVE_RESTORE: Final = 0.5

#: A pool whose clockwork runs ten times as fast as the real one's, except where it waits for
#: workers: what takes one of them long here is a fault, not the work.
_USUAL: Final = Periods()
SETTINGS: Final = SchedulerSettings(
    ask_period=1.0,
    periods=attrs.evolve(
        _USUAL.scaled(0.1),
        lost_check=_USUAL.lost_check,
        upload_limit=_USUAL.upload_limit,
        unnotified=60.0,
        unnotified_ongoing=20.0,
    ),
)

#: What a worker needs to know of a run in which more fails in a minute than in a usual year.
_HARDENED: Final[Mapping[str, str]] = {
    "IEXEC_WORKER_RESTART_INTENSITY": "1000",
    "IEXEC_WORKER_DRAIN_TIMEOUT": "PT10S",
    "IEXEC_WORKER_MIN_FREE_DISK_GB": "0",
    "IEXEC_WORKER_LOG_FORMAT": "json",
    "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT": "2",
}


@define(eq=False)
class Scene:
    """
    *image*: what the app's image is called on the chain. *posts* may become more.

    *results* leads to the result proxy, for all workers; the scheduler is harmed in turns, too.
    *sockets* are those through which workers reach the engine.
    """

    options: ChaosOptions
    pool: Pool
    engine: Dockerd
    node: ReturningNode
    results: Proxy
    image: str
    sockets: Path
    nursery: trio.Nursery
    posts: list[Post] = field(factory=list, init=False)
    scheduler_turn: trio.Lock = field(factory=trio.Lock, init=False)

    @property
    def deposit(self) -> int:
        """What every worker was given to stake, nRLC."""
        return wallets.STAKE_NRLC

    @property
    def results_url(self) -> str:
        """Where deals say that their results go."""
        return _url(self.results)

    async def hire(self) -> Post:
        """Open a post for one more worker, with a wallet that the pool does not know yet."""
        post: Post = await self.nursery.start(self._keep, f"worker-{len(self.posts) + 1}")
        self.posts.append(post)
        return post

    async def _keep(self, name: str, *, task_status: trio.TaskStatus[Post]) -> None:
        folder = self.options.folder / "workers" / name
        wallet = await wallets.make(folder, "wallet")
        async with self.node.turn:
            await wallets.fund(self.pool.market, wallet)
        # A port would be open to everybody on this machine, and an engine is as good as root.
        socket = self.sockets / name
        async with (
            _line(self.pool.url) as scheduler,
            _line(self.pool.node_url) as node,
            open_proxy(self.engine.target, path=socket) as engine,
            _disk(folder / "base", small=self.options.root),
        ):
            environment = {
                **self.pool.environment(wallet.path, wallet.password),
                **_HARDENED,
                "IEXEC_CORE_URL": _url(scheduler),
                "IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS": _url(node),
                "DOCKER_HOST": f"unix://{socket}",
                "IEXEC_WORKER_BASE_DIR": str(folder / "base"),
            }
            lines = (scheduler, node, engine)
            post = Post(name, folder, wallet, environment, self.options.inherited, lines)
            task_status.started(post)
            await post.run()


@asynccontextmanager
async def open_scene(options: ChaosOptions, say: Callable[[str], None]) -> AsyncIterator[Scene]:
    """
    Open everything; all of it ends with the scope. *say* is told what is being done.

    Raises Fatal, with what helps, when a piece is missing or does not come up.
    """
    folder = options.folder
    async with AsyncExitStack() as stack:
        # Last of all, when nobody writes to them any more: only logs and results are kept.
        stack.push_async_callback(_clear, folder / "registry", folder / "engine" / "data")
        dockerd = await _engine(stack, options, say)
        image = await _image(stack, folder, dockerd.host)
        say("starting chain, contracts, scheduler and result proxy")
        pool = await stack.enter_async_context(
            open_pool(PoolOptions(options.cache, folder / "pool", scheduler=SETTINGS))
        )
        # Paths of sockets have at most 107 characters.
        sockets = Path(stack.enter_context(TemporaryDirectory(prefix="iexec-chaos-")))
        nursery = await stack.enter_async_context(trio.open_nursery())
        results = await stack.enter_async_context(_line(pool.result_proxy_url))
        node = ReturningNode(pool.node, pool.node.sender(pool.owner_key), folder / "pool", nursery)
        scene = Scene(options, pool, dockerd, node, results, image, sockets, nursery)
        say(f"starting {options.workers} workers")
        for _ in range(options.workers):
            await scene.hire()
        await _joined(scene)
        yield scene
        nursery.cancel_scope.cancel()


async def _engine(
    stack: AsyncExitStack, options: ChaosOptions, say: Callable[[str], None]
) -> Dockerd:
    """Start an engine that may be harmed; whoever is not root has to take the one there is."""
    folder = options.folder / "engine"
    if not options.root:
        there = options.inherited.get("DOCKER_HOST")
        found = await stack.enter_async_context(engine(folder, host=there))
        return Dockerd(found.host, None)
    live_restore = Random(f"{options.seed} engine").random() < _LIVE_RESTORE
    say(f"starting an engine, live-restore {'on' if live_restore else 'off'}")
    return await stack.enter_async_context(returning_engine(folder, live_restore=live_restore))


async def _image(stack: AsyncExitStack, folder: Path, host: str) -> str:
    store = await stack.enter_async_context(registry(folder / "registry"))
    image = f"{store.address}/iexec-chaos:1.0"
    await images.build(host, image, images.demo_app())
    await images.push(host, image)
    return image


async def _joined(scene: Scene) -> None:
    """Return when the pool knows all workers. Raises Fatal."""
    with trio.move_on_after(_JOIN):
        await scene.pool.scheduler.registered(post.wallet.address for post in scene.posts)
        return
    logs = ", ".join(str(post.lives[-1].log) for post in scene.posts)
    raise Fatal(f"workers have not joined within {_JOIN:g} s, see {logs}")


@asynccontextmanager
async def _disk(folder: Path, *, small: bool) -> AsyncIterator[None]:
    if not small:
        yield
        return
    async with small_disk(folder):
        yield


def _url(line: Proxy) -> str:
    return f"http://{_HOST}:{line.port}"


def _line(url: str) -> AbstractAsyncContextManager[Proxy]:
    """A line with faults to the server at *url*, which is on this machine."""
    port = urlsplit(url).port
    assert port is not None
    return open_proxy((_HOST, port))


async def _clear(*folders: Path) -> None:
    with trio.CancelScope(shield=True):
        for folder in folders:
            await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
