"""What an operator sets arrives where it has an effect, and strangers get the guarded client."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

from iexec_worker import config
from iexec_worker.app.assembly import build_chain, build_member
from iexec_worker.app.clients import Clients, open_clients
from iexec_worker.app.disk import Disk
from iexec_worker.app.enclaves import enclaves
from iexec_worker.app.identity import Identity
from iexec_worker.app.watches import EngineWatch
from iexec_worker.chain.wallet import Wallet
from iexec_worker.engine.client import Engine
from iexec_worker.membership.ending import Ending
from iexec_worker.membership.join import Terms
from iexec_worker.model import ChainConfig, PoolConfig
from iexec_worker.replicates.slots import Slots
from iexec_worker.results.tree import Limits
from iexec_worker.stages.admission import Admission
from iexec_worker.telemetry.durations import Durations
from iexec_worker.telemetry.prometheus import Metrics
from iexec_worker.telemetry.tree import Node
from iexec_worker.wire import Action

if TYPE_CHECKING:
    from pathlib import Path

    from iexec_worker.membership.member import Member

GB: Final = 1024**3
POOL, APP, REQUESTER = ("0x" + 40 * digit for digit in "123")
PROXY: Final = "http://proxy.pool"

#: No two values are the same, and none is a default.
SET: Final = {
    "IEXEC_CORE_URL": "http://core.pool",
    "POOL_ADDRESS": POOL,
    "IEXEC_WORKER_WALLET_PASSWORD": "-",
    "IEXEC_WORKER_LOST_SCHEDULER_MISSES": "7",
    "IEXEC_WORKER_MAX_RESULT_SIZE_GB": "11",
    "IEXEC_WORKER_MAX_RESULT_FILES": "12",
    "IEXEC_WORKER_MAX_RESULT_DEPTH": "13",
    "IEXEC_WORKER_MAX_INPUT_SIZE_GB": "14",
    "IEXEC_WORKER_MAX_IMAGE_SIZE_GB": "15",
    "IEXEC_WORKER_IMAGE_CACHE_LOW_GB": "16",
    "IEXEC_WORKER_IMAGE_CACHE_HIGH_GB": "17",
    "IEXEC_WORKER_DOCKER_IMAGE_STALL_TIMEOUT": "PT18S",
    "IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT": "PT19M",
    "IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT": "PT21M",
    "IEXEC_WORKER_IPFS_GATEWAYS": "http://gateway.test",
    "IEXEC_WORKER_ALLOWED_REGISTRIES": "registry.test",
    "IEXEC_WORKER_ALLOWED_APPS": APP,
    "IEXEC_WORKER_ALLOWED_REQUESTERS": REQUESTER,
}

TERMS: Final = Terms(
    "9.3.0",
    PoolConfig(POOL, "", "http://config.pool", PROXY, 5.0, ""),
    ChainConfig(134, True, "http://node", "0xhub", 5.0),
)


def member(folder: Path, clients: Clients) -> Member:
    settings, wallet, node = clients.config, Wallet.from_key(64 * "1"), Node("worker")
    sandbox: Any = None
    own = Identity(
        config=settings,
        wallet=wallet,
        clients=clients,
        durations=Durations(1),
        metrics=Metrics(wallet.address, Durations(1), node),
        slots=Slots(1),
        ending=Ending(1),
        engine=EngineWatch(clients.engine, node, sandbox, gpus=False, trouble=""),
        disk=Disk(folder, 1, node),
        sandbox=sandbox,
        enclaves=enclaves(settings, clients.engine, wallet.address),
    )
    model: Any = None
    return build_member(own, TERMS, build_chain(own, TERMS, clients.pool), model)


def settings(folder: Path) -> config.Config:
    return config.load(SET | {"IEXEC_WORKER_BASE_DIR": str(folder)}, cpu_count=2).config


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    pool, strangers = (httpx.AsyncClient(verify=False) for _ in range(2))
    return Clients(pool, strangers, Engine("unix:///nowhere"), settings(tmp_path))


async def test_limits_and_lists_arrive_where_they_count(tmp_path: Path, clients: Clients) -> None:
    built = member(tmp_path, clients)
    stages: Any = built.around.steps.stages

    assert built.lost_after == 7
    results = Limits(12, 11 * GB, 13)
    assert built.around.post_compute.limits == results
    assert stages[Action.PLEASE_COMPUTE].standard.post_compute.limits == results
    assert stages[Action.PLEASE_START].admission == Admission(
        ("registry.test",), (APP,), (REQUESTER,)
    )
    inputs = stages[Action.PLEASE_DOWNLOAD_DATA].inputs
    assert (inputs.downloader.limits.max_bytes, inputs.gateways) == (
        14 * GB,
        ("http://gateway.test",),
    )
    app, images = stages[Action.PLEASE_DOWNLOAD_APP], built.images.images
    assert (app.images, app.pull_min, app.pull_max) == (built.images, 19 * 60, 21 * 60)
    assert (built.images.low, built.images.high) == (16 * GB, 17 * GB)
    assert images.survey is not None
    assert (images.survey.max_bytes, images.stall) == (15 * GB, 18)


async def test_what_requesters_and_pools_choose_is_reached_through_the_guard(
    tmp_path: Path, clients: Clients
) -> None:
    stages: Any = member(tmp_path, clients).around.steps.stages

    assert stages[Action.PLEASE_START].sms_at("http://sms.test").client is clients.strangers
    assert stages[Action.PLEASE_DOWNLOAD_DATA].inputs.downloader.client is clients.strangers
    proxy_at = stages[Action.PLEASE_UPLOAD].proxies.proxy_at
    assert proxy_at("http://proxy.of.the.deal").client is clients.strangers
    assert proxy_at(PROXY).client is clients.pool


async def test_the_client_for_strangers_is_a_guarded_one(tmp_path: Path) -> None:
    async with open_clients(settings(tmp_path)) as clients, aclosing(clients.strangers):
        with pytest.raises(Exception, match="ALLOWED_PRIVATE_HOSTS"):
            await clients.strangers.get("http://127.0.0.1:1/")
