"""The image as operators use it: built, started as a container, stopped."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import docker
import pytest
import trio
from attrs import frozen
from docker.types import Healthcheck, Mount

from iexec_worker import __version__
from iexec_worker.devpool import images, wallets
from iexec_worker.devpool.images import Recipe
from tests.integration import evidence
from tests.integration.image import SOURCE, WorkerImage, worker_image
from tests.integration.shop import Bought, Order, Shop, quick
from tests.looking import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.registry import Registry
    from tests.backstage import Backstage

# The first run makes a Debian.
pytestmark = pytest.mark.timeout(400)

#: The user of the image.
UID: Final = 1000

#: An app that keeps to itself what it makes, as far as root can: its files, folders of them, the
#: place of its result, and something among its inputs. Names are odd, and no text.
CLOSED_APP: Final = rb"""
umask 077
cd /iexec_out
echo private > private.txt
mkdir -p closed/deeper/deepest open "$(/bin/busybox printf 'o\377dd')"
echo 'the result' > closed/deeper/deepest/result.txt
echo 1 > "$(/bin/busybox printf 'o\377dd/f\nile')"
echo '{"deterministic-output-path": "/iexec_out/closed/deeper/deepest/result.txt"}' > computed.json
/bin/busybox ln -s /etc/passwd link
/bin/busybox chmod 755 open
mkdir open/closed
mkdir -p /iexec_in/left
echo x > /iexec_in/left/behind
/bin/busybox chmod 000 closed/deeper
/bin/busybox chown 0:0 .
/bin/busybox chmod 700 .
echo printed
if [ "$1" = linger ]; then sleep 300; fi
"""


@pytest.fixture(scope="module")
def client(engine_url: str) -> Iterator[docker.APIClient]:
    client = docker.APIClient(base_url=engine_url, version="auto", timeout=240)
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(client: docker.APIClient, engine_url: str) -> Iterator[WorkerImage]:
    if not engine_url.startswith("unix://"):
        pytest.skip("only the socket of an engine on this machine can be bound into a container")
    with worker_image(client, Path(engine_url.removeprefix("unix://"))) as built:
        yield built


@pytest.fixture
def closed_app(stage: Backstage, engine_url: str, open_registry: Registry) -> Iterator[str]:
    image = f"{open_registry.address}/closed:1"
    recipe = Recipe(files={"/app.sh": CLOSED_APP}, entrypoint=("/bin/sh", "/app.sh"))
    stage.run(images.build, engine_url, image, recipe)
    stage.run(images.push, engine_url, image)
    yield image
    stage.run(images.remove, engine_url, image)


@frozen
class Home:
    """Where a worker in a container is at home: what it shares with the host, what it is told."""

    wallet: wallets.Wallet
    base: Path
    network: str
    environment: dict[str, str]


@frozen
class Network:
    """A bridge for workers; *gateway* is this machine's address there."""

    name: str
    gateway: str


@pytest.fixture
def network(client: docker.APIClient) -> Iterator[Network]:
    name = f"iexec-worker-tests-{secrets.token_hex(4)}"
    client.create_network(name, driver="bridge")
    yield Network(name, client.inspect_network(name)["IPAM"]["Config"][0]["Gateway"])
    client.remove_network(name)


@pytest.fixture
def options(tmp_path: Path, network: Network) -> PoolOptions:
    return attrs.evolve(quick(tmp_path / "pool"), host=network.gateway, advertised=network.gateway)


@pytest.fixture
def shop(pool: Pool, engine_url: str, app_image: str, closed_app: str) -> Shop:
    return Shop(pool, engine_url, {"demo": app_image, "closed": closed_app})


@pytest.fixture
async def home(pool: Pool, network: Network, tmp_path: Path) -> Home:
    wallet = await wallets.make(tmp_path / "home", "wallet")
    await wallets.fund(pool.market, wallet)
    base = tmp_path / "tasks"
    base.mkdir()
    for path in (base, wallet.path):
        os.chown(path, UID, UID)
    environment = {
        **pool.environment(Path("/run/secrets/wallet.json"), wallet.password),
        "IEXEC_WORKER_NAME": f"worker-{secrets.token_hex(4)}",
        "IEXEC_WORKER_BASE_DIR": str(base),
        "IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT": "2",
    }
    return Home(wallet, base, network.name, environment)


@frozen
class Contained:
    """A worker in a container, with the folder that it shares with the host."""

    client: docker.APIClient
    name: str
    tasks: Path

    def inspect(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.inspect_container(self.name)
        return found

    def run(self, *command: str) -> str:
        """The output of *command* in the container; it has to succeed."""
        execution = self.client.exec_create(self.name, list(command))["Id"]
        output: str = self.client.exec_start(execution).decode()
        assert self.client.exec_inspect(execution)["ExitCode"] == 0, output
        return output.strip()

    def log(self) -> str:
        text: str = self.client.logs(self.name).decode(errors="replace")
        return text

    async def healthy(self) -> bool:
        state = (await trio.to_thread.run_sync(self.inspect))["State"]
        assert state["Running"], self.log()
        return bool(state["Health"]["Status"] == "healthy")

    async def tidy(self) -> bool:
        """True iff nothing is left of any task."""
        return not list(self.tasks.iterdir())


@contextmanager
def contained(client: docker.APIClient, image: WorkerImage, home: Home) -> Iterator[Contained]:
    """Run a worker as the README's compose file does."""
    name = home.environment["IEXEC_WORKER_NAME"]
    binds = [
        Mount("/var/run/docker.sock", str(image.socket), type="bind"),
        Mount(str(home.base), str(home.base), type="bind"),
        Mount("/run/secrets/wallet.json", str(home.wallet.path), type="bind", read_only=True),
    ]
    endpoints: Any = {home.network: client.create_endpoint_config(aliases=["worker"])}
    container = client.create_container(
        image.tag,
        name=name,
        environment=home.environment,
        host_config=client.create_host_config(mounts=binds, network_mode=home.network),
        networking_config=client.create_networking_config(endpoints),
        # Only more often than the image asks for, so that nobody waits for half a minute.
        healthcheck=Healthcheck(interval=500_000_000),
    )["Id"]
    worker = Contained(client, name, home.base / name)
    try:
        client.start(container)
        yield worker
    finally:
        sys.stdout.write(worker.log())
        client.remove_container(container, force=True, v=True)


def test_the_image_says_what_it_is_and_how_to_look_after_it(
    client: docker.APIClient, image: WorkerImage
) -> None:
    api: Any = client
    config = api.inspect_image(image.tag)["Config"]

    labels = {
        name.removeprefix("org.opencontainers.image."): text
        for name, text in config["Labels"].items()
    }
    assert labels["title"] == "iexec-worker"
    assert labels["version"] == __version__
    assert labels["licenses"] == "Apache-2.0"
    assert labels["source"] == SOURCE
    assert labels["base.name"] == image.base
    assert config["User"] == str(UID)
    assert config["Entrypoint"][0] == "tini"
    assert "/actuator/health" in " ".join(config["Healthcheck"]["Test"])
    assert "13100/tcp" in config["ExposedPorts"]


async def test_a_worker_in_a_container_computes_what_apps_that_are_root_leave(
    client: docker.APIClient, image: WorkerImage, home: Home, shop: Shop
) -> None:
    with contained(client, image, home) as worker:
        await until(worker.healthy, limit=30)
        assert worker.run("id", "-u") == str(UID)
        assert str(image.group) in worker.run("id", "-G").split()
        assert worker.run("curl", "--version")
        assert worker.run("cat", "/proc/1/comm") == "tini"

        plain, closed = [await shop.buy(order) for order in (Order(), Order(image="closed"))]
        with trio.fail_after(60):
            await completed(shop, plain, home)
            files = await completed(shop, closed, home)
        assert files["private.txt"] == b"private\n"
        assert files["closed/deeper/deepest/result.txt"] == b"the result\n"
        assert files["stdout.txt"] == b"printed\n"
        assert files["link"] == b""
        await until(worker.tidy)
        assert "stay closed" not in worker.log()

        await trio.to_thread.run_sync(partial(client.stop, worker.name, timeout=20))
        assert worker.inspect()["State"]["ExitCode"] == 0


async def test_a_worker_that_is_stopped_in_the_middle_can_still_remove_what_the_app_left(
    client: docker.APIClient, image: WorkerImage, home: Home, shop: Shop
) -> None:
    with contained(client, image, home) as worker:
        bought = await shop.buy(Order("linger", image="closed"))
        left = worker.tasks / bought.task_id / "output" / "iexec_out" / "closed"
        await until(trio.Path(left / "deeper").is_dir, limit=60)

        await trio.to_thread.run_sync(partial(client.kill, worker.name, signal="SIGINT"))
        await trio.to_thread.run_sync(partial(client.wait, worker.name, timeout=20))

        assert left.stat().st_uid == UID
        assert "stay closed" not in worker.log()


async def completed(shop: Shop, bought: Bought, home: Home) -> dict[str, bytes]:
    """Wait until the task is completed; the files of its result, whose digest is on-chain."""
    ended = await shop.over(bought, home.wallet.address)
    assert ended.told[-1] == "COMPLETED"
    files = ended.completed()
    digest = evidence.digest_of(files)
    assert ended.contribution.result_hash == evidence.result_hash(bought.task_id, digest)
    return files
