"""A pool behind https, with a certificate that the world does not know and the operator does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme
from attrs import frozen
from hypercorn.config import Config
from hypercorn.trio import serve

from iexec_worker.config import Outbound
from iexec_worker.errors import Unavailable
from iexec_worker.scheduler.api import SchedulerApi
from iexec_worker.scheduler.gate import Gate
from iexec_worker.scheduler.link import Link
from iexec_worker.scheduler.subscriptions import Subscriptions
from iexec_worker.transport import make_client
from tests.scheduler.conftest import TASK, WALLET, FakeBroker, broker_app
from tests.scheduler.test_link import TRANSPORTS, news, only_through, received, running

if TYPE_CHECKING:
    from pathlib import Path

    import trio


@frozen
class Pool:
    """*ca_file* holds the certificate of the authority that vouches for the pool's."""

    broker: FakeBroker
    ca_file: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ca.pem`, and `localhost.pem` that comes from it."""
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        folder / "localhost.pem"
    )
    return folder


@pytest.fixture
async def pool(certificates: Path, nursery: trio.Nursery) -> Pool:
    broker, config = FakeBroker(), Config()
    config.bind, config.errorlog = ["127.0.0.1:0"], None
    config.certfile = config.keyfile = str(certificates / "localhost.pem")
    app = broker_app(broker)

    @app.get("/version")
    async def version() -> str:
        return "9.3.0"

    urls: list[str] = await nursery.start(serve, app, config)
    broker.url = urls[0].replace("127.0.0.1", "localhost")
    return Pool(broker, certificates / "ca.pem")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_pool_whose_authority_is_trusted_is_asked_and_heard(
    pool: Pool, transport: str
) -> None:
    broker = pool.broker
    only_through(broker, transport)

    async with make_client(Outbound(ca_file=pool.ca_file), timeout=5) as client:
        link = Link(client, broker.url, WALLET, Subscriptions(), Gate())
        assert await SchedulerApi(client, broker.url).version() == "9.3.0"
        with link.subscriptions.open(TASK) as inbox:
            async with running(link):
                assert link.transport == transport
                await broker.until(lambda: broker.subscribed(TASK))
                broker.publish(news())
                assert (await received(inbox)).block_number == 42


async def test_a_pool_that_nobody_vouches_for_is_refused_with_the_next_step(pool: Pool) -> None:
    async with make_client(Outbound(), timeout=5) as client:
        with pytest.raises(Unavailable, match=r"certificate verify failed.* SSL_CERT_FILE"):
            await SchedulerApi(client, pool.broker.url).version()


async def test_a_certificate_of_another_name_is_refused(pool: Pool) -> None:
    url = pool.broker.url.replace("localhost", "127.0.0.1")
    async with make_client(Outbound(ca_file=pool.ca_file), timeout=5) as client:
        with pytest.raises(Unavailable, match="IP address mismatch"):
            await SchedulerApi(client, url).version()
