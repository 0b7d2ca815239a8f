"""How a worker finds its pool: proxies, the scheduler's address in pieces; and its pull limits."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import attrs
import pytest
import trio

from iexec_worker.devpool import images
from iexec_worker.devpool.broker.sockjs import SockJsSettings
from iexec_worker.wire import Cause, Status
from tests.integration.forward_proxy import ForwardProxy
from tests.integration.line import Line
from tests.integration.shop import Order, Shop, quick
from tests.samples import TO_COMPLETED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from iexec_worker.devpool.options import PoolOptions
    from iexec_worker.devpool.pool import Pool
    from iexec_worker.devpool.registry import Registry
    from tests.integration.hired import Agency

LIMIT: Final = 50


def _own_address() -> str:
    """An address of this machine that is not loopback; no packet is sent to learn it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return ""
        address = str(probe.getsockname()[0])
    return "" if address.startswith("127.") else address


@pytest.fixture
def address() -> str:
    address = _own_address()
    if not address:
        pytest.skip("no address but loopback, which is never reached through a proxy")
    return address


@pytest.fixture
def options(request: pytest.FixtureRequest, tmp_path: Path) -> PoolOptions:
    """As a test's parameter says; tests of proxies find it at an address that is not loopback."""
    options = attrs.evolve(quick(tmp_path / "pool"), **getattr(request, "param", {}))
    if "address" not in request.fixturenames:
        return options
    address = request.getfixturevalue("address")
    return attrs.evolve(options, host=address, advertised=address)


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[ForwardProxy]:
    async with trio.open_nursery() as nursery:
        running: ForwardProxy = await nursery.start(ForwardProxy(address).run)
        yield running
        nursery.cancel_scope.cancel()


async def test_everything_but_the_pools_node_is_reached_through_the_proxy(
    pool: Pool, agency: Agency, shop: Shop, proxy: ForwardProxy, address: str
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start({"HTTP_PROXY": proxy.url})
        bought = await shop.buy(Order(inputs=(b"an input",)))
        ended = await shop.over(bought, worker.wallet)

    assert ended.told[-1] is Status.COMPLETED
    ended.completed()
    services = pool.services
    ports = {service.port for service in (services.scheduler, services.config_server)}
    assert set(proxy.asked) == {(address, port) for port in (*ports, services.result_proxy.port)}


async def test_hosts_of_no_proxy_are_reached_directly(
    pool: Pool, agency: Agency, shop: Shop, proxy: ForwardProxy, address: str
) -> None:
    port = pool.services.result_proxy.port
    with trio.fail_after(LIMIT):
        direct = f"example.org,{address}:{port},{address}:{pool.services.scheduler.port}"
        worker = await agency.start({"HTTP_PROXY": proxy.url, "NO_PROXY": direct})
        ended = await shop.over(await shop.buy(Order()), worker.wallet)

    assert ended.told[-1] is Status.COMPLETED
    ended.completed()
    assert set(proxy.asked) == {(address, pool.services.config_server.port)}


async def test_the_schedulers_address_may_come_in_three_pieces(pool: Pool, agency: Agency) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start(
            {
                "IEXEC_CORE_URL": "",
                "IEXEC_CORE_PROTOCOL": "http",
                "IEXEC_CORE_HOST": "127.0.0.1",
                "IEXEC_CORE_PORT": str(pool.services.scheduler.port),
            }
        )
        await worker.registered(pool)


@pytest.mark.parametrize("options", [{"sockjs": SockJsSettings(websocket=True)}], indirect=True)
async def test_a_pool_that_offers_websocket_is_heard_through_it(
    pool: Pool, agency: Agency, shop: Shop
) -> None:
    with trio.fail_after(LIMIT):
        worker = await agency.start()
        await worker.ready()
        assert "through websocket" in str(await worker.process.supervision())
        ended = await shop.over(await shop.buy(Order()), worker.wallet)

    assert ended.told == list(TO_COMPLETED)
    ended.completed()
    assert pool.record.calls("POST /connect/*/xhr_streaming") == []
    assert pool.record.calls("POST /connect/*/xhr") == []


async def test_of_pull_limits_in_the_wrong_order_the_upper_one_counts(
    pool: Pool, agency: Agency, engine_url: str, open_registry: Registry
) -> None:
    image = f"{open_registry.address}/held-back:1"
    await images.build(engine_url, image, images.demo_app(ballast=1_000_000))
    await images.push(engine_url, image)
    await images.remove(engine_url, image)
    async with trio.open_nursery() as nursery:
        line: Line = await nursery.start(Line(open_registry.port, 0).run)
        stalls = image.replace(str(open_registry.port), str(line.port))
        shop = Shop(pool, engine_url, {"stalls": stalls})
        with trio.fail_after(LIMIT):
            worker = await agency.start(
                {
                    "IEXEC_WORKER_DOCKER_IMAGE_MIN_PULL_TIMEOUT": "PT10M",
                    "IEXEC_WORKER_DOCKER_IMAGE_MAX_PULL_TIMEOUT": "PT2S",
                }
            )
            bought = await shop.buy(Order(image="stalls"))
            began = await pool.record.until_told(bought.task_id, Status.APP_DOWNLOADING)
            failed = await pool.record.until_told(bought.task_id, Status.APP_DOWNLOAD_FAILED)
            await shop.over(bought, worker.wallet)
        nursery.cancel_scope.cancel()

    assert failed.cause == Cause.APP_IMAGE_DOWNLOAD_FAILED
    assert 1.5 < failed.at - began.at < 10
